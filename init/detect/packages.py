"""Debian packages that a Dockerfile installs for the app."""

import re
from pathlib import PurePosixPath

from init.commands import BUILD, Command
from init.detect.entry import Entry
from init.hints import Hints
from init.report import Report

# Tools that an image needs to be built and to start, and what every host or Python has already.
_OF_THE_IMAGE = re.compile(
    r"(?:build-essential|gcc|g\+\+|make|curl|wget|git|ca-certificates|gnupg2?|dirmngr|apt-\S+|software-properties-common|lsb-release|procps|"
    r"vim\S*|nano|less|sudo|cron|supervisor|uwsgi\S*|gunicorn\S*|nginx\S*|apache2\S*|netcat\S*|net-tools|iputils-ping|telnet|dnsutils|htop|strace|tini|dumb-init|gosu|"
    r"bash|openssh-\S+|openssl|rsync|jq|unzip|zip|xz-utils|bzip2|tzdata|locales\S*|gettext-base|dos2unix|nodejs|npm|yarn\S*|python3?(?:\.\d+)?|"
    r"python3?-(?:pip|venv|dev|setuptools|wheel|distutils)|(?:default-)?(?:mysql|mariadb|postgresql)-(?:client|server)\S*|redis\S*|"
    r"lib(?:ssl|ffi|sqlite3-|c|gcc|stdc\+\+)\d\S*|libc-dev|libc6-dev|zlib1g)"
)
_DEVELOPMENT = re.compile(
    r".+-dev|pkg-config|pkgconf|cmake|swig|gfortran|rustc|cargo|g\+\+|make|autoconf|automake|libtool"
)
# Names of earlier releases of Debian, and today's.
_RENAMED = {"libgl1-mesa-glx": "libgl1", "libgl1-mesa-dev": "libgl-dev", "libmysqlclient-dev": "libmariadb-dev"}
_WITH_VALUE = {"-o", "-t", "-c", "--option", "--target-release", "--config-file"}


def detect(entry: Entry, hints: Hints, report: Report) -> None:
    """Add what an image installs with apt: libraries and programs to app_packages, those to compile with to app_build_packages."""
    others: set[str] = set()
    for command in hints.commands:
        if command.name != BUILD or not _is_of_app(entry, command):
            continue
        if re.search(r"sources\.list|add-apt-repository|apt-key|keyrings|\bgpg\b", command.text):
            others.add(command.place.path)
        names = [_RENAMED.get(name, name) for name in _installed(command)]
        libraries = [name for name in names if name.endswith("-dev") and not _OF_THE_IMAGE.fullmatch(name)]
        if libraries:
            # An image of Python has a compiler's other needs already.
            tools = [name for name in names if _DEVELOPMENT.fullmatch(name) and name not in libraries]
            tools = [name for name in tools if not name.endswith("-dev")]
            report.add(
                "app_build_packages",
                ["gcc", "python3-dev", *tools, *libraries],
                f"the image installs {' '.join(libraries)}",
                command.place,
            )
        run = [name for name in names if not (_OF_THE_IMAGE.fullmatch(name) or _DEVELOPMENT.fullmatch(name))]
        if run and command.place.path in others:
            report.note(
                f"the image installs {' '.join(run)}, perhaps of an apt repository that is not Debian's. Add those of Debian to app_packages.",
                command.place,
                unless="app_packages",
            )
        elif run:
            report.add("app_packages", run, f"the image installs {' '.join(run)}", command.place)
        if command.place.path not in others and (
            versioned := [name for name in run if re.fullmatch(r"lib.*\d\d(?:\.\d+)*(?:-\d+)?", name)]
        ):
            report.note(
                f"{', '.join(versioned)}: the number is of the image's Debian. Where the hosts' has another one, change it in app_packages.",
                command.place,
                unless="app_packages",
            )


def _is_of_app(entry: Entry, command: Command) -> bool:
    """Return whether the Dockerfile is that of the app, and not of another directory of the repository."""
    directory = PurePosixPath(command.place.path).parent
    return entry.path.is_relative_to(directory) or directory.is_relative_to(entry.subdir or ".")


def _installed(command: Command) -> list[str]:
    """Return the packages that a command of apt installs, without their versions."""
    words = list(command.words)
    if command.program not in ("apt-get", "apt", "aptitude") or "install" not in words:
        return []
    found, rest = [], words[1:]
    while rest:
        word = rest.pop(0)
        if word in _WITH_VALUE and rest:
            rest.pop(0)
        elif name := re.fullmatch(r"([a-z0-9][a-z0-9.+-]+)(?::\w+)?(?:[=/].*)?", word):
            found.append(name[1])
    return [name for name in found if name != "install"]
