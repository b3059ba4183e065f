"""The app's requirements, the Python that they need, and the Debian packages of some."""

import re
from pathlib import PurePosixPath

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from init.commands import BUILD
from init.detect import packages
from init.detect.entry import REQUIREMENTS, Entry, has_requirements
from init.hints import Hints
from init.project import Project, table
from init.report import InitError, Place, Report

# Python of the hosts' Debian, by image.
_IMAGES = {"3.13": "debian-13-amd64", "3.11": "debian-12-amd64"}
_NEWEST = 14
_OTHER_FILES = (
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/requirements.txt",
    "requirements/base.txt",
    "requirements-prod.txt",
)
_CONDA_FILES = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml", "conda-lock.yml")
_COMPILER = ["gcc", "python3-dev"]
# Requirements that need Debian packages: to be compiled with, and to run with.
_PACKAGES: dict[str, tuple[list[str], list[str]]] = {
    "mysqlclient": ([*_COMPILER, "libmariadb-dev", "pkg-config"], ["libmariadb3"]),
    "psycopg2": ([*_COMPILER, "libpq-dev"], ["libpq5"]),
    "python-ldap": ([*_COMPILER, "libldap-dev", "libsasl2-dev"], []),
    "xmlsec": (
        [*_COMPILER, "libxml2-dev", "libxmlsec1-dev", "libxmlsec1-openssl", "pkg-config"],
        ["libxmlsec1-openssl"],
    ),
    "uwsgi": (_COMPILER, []),
    "python-magic": ([], ["libmagic1"]),
    "weasyprint": ([], ["libpango-1.0-0", "libpangoft2-1.0-0"]),
    "cairosvg": ([], ["libcairo2"]),
    "pytesseract": ([], ["tesseract-ocr"]),
    "pydub": ([], ["ffmpeg"]),
    "pyodbc": ([], ["unixodbc"]),
    "gitpython": ([], ["git"]),
}


def detect(project: Project, entry: Entry, hints: Hints, report: Report) -> set[str]:
    """Find the file with the requirements; return the canonical names of what is installed."""
    top = f"{entry.subdir}/" if entry.subdir else ""
    # The app may be below its directory, when that includes a front end.
    nearest = next((d for d in entry.path.parents if has_requirements(project, d)), PurePosixPath(entry.subdir))
    if nearest != PurePosixPath(entry.subdir) and nearest.is_relative_to(entry.subdir or "."):
        file = str(nearest / "requirements.txt")
        report.add(
            "app_requirements", entry.relative(file), f"the app is in {nearest}/, and serves a front end outside of it"
        )
    else:
        file = next((f"{top}{name}" for name in REQUIREMENTS if project.has(f"{top}{name}")), "")
    if not file or (file.endswith(("pyproject.toml", "setup.py")) and not _declares(project, file)):
        other = next((name for name in _OTHER_FILES if project.has(f"{top}{name}")), "")
        if other:
            report.add("app_requirements", other, f"the app's requirements are in {other}")
            file = f"{top}{other}"
        elif not file:
            raise InitError(_no_requirements(project, top))
    names = _names(project, file, set())
    _add_installed_by_docker(names, hints, report)
    _set_python(project, top, hints, report)
    _set_packages(names, report)
    packages.detect(entry, hints, report)
    content = project.toml(f"{top}pyproject.toml")
    groups = [*table(content, "dependency-groups"), *table(content, "tool", "poetry", "group")]
    for group in groups:
        if group in ("prod", "production", "deploy") and file.endswith((".lock", "pyproject.toml")):
            report.add(
                "app_groups", [group], f"the dependency group {group}", project.place(f"{top}pyproject.toml", group)
            )
    return names


def _declares(project: Project, file: str) -> bool:
    """Return whether a pyproject.toml or a setup.py has requirements or makes a package; many only configure tools."""
    if file.endswith("setup.py"):
        return True
    content = project.toml(file)
    return "project" in content or "poetry" in table(content, "tool")


def _no_requirements(project: Project, top: str) -> str:
    if project.has(f"{top}Pipfile.lock"):
        return "The app has a Pipfile.lock, which Outport can't read. Write and commit a requirements file: pipenv requirements > requirements.txt"
    conda = next((name for name in _CONDA_FILES if project.has(f"{top}{name}")), "")
    if conda:
        return _no_requirements_but_conda(project, f"{top}{conda}")
    found = next(iter(project.named(r".*requirements.*\.txt")), "")
    hint = (
        f" Name the file: --set app_requirements=..., such as {found}."
        if found
        else " Write and commit a requirements.txt with the packages that the app imports."
    )
    return f"The app has none of {', '.join(REQUIREMENTS)} in '{top or '.'}'.{hint}"


def _no_requirements_but_conda(project: Project, path: str) -> str:
    try:
        content = yaml.safe_load(project.text(path))
    except yaml.YAMLError:
        content = None
    listed = content.get("dependencies") if isinstance(content, dict) else None
    names = []
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            names += [str(line) for line in entry.get("pip") or []]
        elif (name := re.split(r"[=<>! \[]", str(entry).rpartition("::")[2])[0]) not in ("python", "pip", ""):
            names.append(name)
    named = f" It names {', '.join(names)}; some have another name on PyPI." if names else ""
    return (
        f"The app's packages are in {path}, for Conda, and Outport installs from PyPI. Write and commit a requirements.txt with the Python "
        f"packages that the app imports.{named} What is no Python package goes to app_packages, as a Debian package."
    )


def _names(project: Project, file: str, seen: set[str]) -> set[str]:
    """Return the names in a requirements file, a lock file or a pyproject.toml."""
    seen.add(file)
    if file.endswith(".lock"):
        packages = project.toml(file).get("package") or []
        return {
            canonicalize_name(str(package["name"]))
            for package in packages
            if isinstance(package, dict) and "name" in package
        }
    if file.endswith(".toml"):
        content = project.toml(file)
        listed = table(content, "project").get("dependencies") or []
        poetry = table(content, "tool", "poetry", "dependencies")
        return {*_parsed(list(map(str, listed))), *map(canonicalize_name, poetry)}
    if file.endswith(".py"):
        return {
            canonicalize_name(found)
            for found in re.findall(
                r"[\"']([A-Za-z][\w.-]*)(?:\[[^]]*\])?\s*(?:[<>=~!][^\"']*)?[\"']", project.text(file)
            )
        }
    found: set[str] = set()
    for line in project.text(file).splitlines():
        if included := re.match(r"(?:-r|--requirement)[ =]?\s*(\S+)", line.strip()):
            path = str(PurePosixPath(file).parent / included[1])
            found |= _names(project, path, seen) if path not in seen else set()
        else:
            found |= set(_parsed([re.split(r"\s+#|\s+--hash|\s*\\$", line.strip())[0]]))
    return found


def _parsed(lines: list[str]) -> list[str]:
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        found.append(canonicalize_name(requirement.name))
        found += [f"{canonicalize_name(requirement.name)}[{extra}]" for extra in requirement.extras]
    return found


def _add_installed_by_docker(names: set[str], hints: Hints, report: Report) -> None:
    """Add what a Dockerfile installs in addition, such as a database driver."""
    for command in hints.commands:
        words = list(command.words)
        if (
            command.name != BUILD
            or "install" not in words
            or words[0] not in ("pip", "pip3", "uv", "python", "python3")
        ):
            continue
        listed = words[words.index("install") + 1 :]
        if "-r" in listed or "--requirement" in listed or any(word.startswith((".", "/")) for word in listed):
            continue
        wanted = [
            word
            for word in listed
            if not word.startswith("-")
            and _parsed([word])
            and _parsed([word])[0] not in names | {"pip", "setuptools", "wheel", "gunicorn", "uv", "poetry"}
        ]
        if wanted:
            report.add("app_extra_requirements", wanted, f"the image installs {' '.join(wanted)}", command.place)
            names |= set(_parsed(wanted))


def _set_python(project: Project, top: str, hints: Hints, report: Report) -> None:
    content = project.toml(f"{top}pyproject.toml")
    poetry = table(content, "tool", "poetry", "dependencies").get("python", "")
    declared = table(content, "project").get("requires-python", "")
    wanted = ",".join(text for text in (str(declared), _of_poetry(poetry) if isinstance(poetry, str) else "") if text)
    place = project.place(f"{top}pyproject.toml", "python")
    try:
        allowed = SpecifierSet(wanted)
    except InvalidSpecifier:
        return
    versions = [
        f"3.{minor}" for minor in range(_NEWEST, 7, -1) if f"3.{minor}.99" in allowed or f"3.{minor}.0" in allowed
    ]
    if not wanted or "3.13" in versions:
        hinted = [*((text, where) for text, where in hints.pythons), *_pinned(project, top)]
        for version, where in hinted[:1]:
            if version != "3.13":
                report.note(
                    f'Python {version} is named, and the hosts have 3.13. If the app needs it: --set app_python="{version}"',
                    where,
                )
        return
    if "3.11" in versions:
        report.add("web_image", _IMAGES["3.11"], f"Debian 12 has Python 3.11, and the app requires {wanted}", place)
    elif versions:
        report.add("app_python", versions[0], f"the app requires {wanted}", place)


def _of_poetry(text: str) -> str:
    """Return a version constraint of Poetry as a specifier: ^3.9 is >=3.9,<4, ~3.9 is >=3.9,<3.10."""
    text = re.sub(r"\^\s*(\d+)((?:\.\d+)*)", lambda found: f">={found[1]}{found[2]},<{int(found[1]) + 1}", text)
    return re.sub(
        r"(?<![~=!<>])~\s*(\d+)\.(\d+)(?:\.\d+)?",
        lambda found: f">={found[1]}.{found[2]},<{found[1]}.{int(found[2]) + 1}",
        text,
    ).replace("*", "")


def _pinned(project: Project, top: str) -> list[tuple[str, Place]]:
    found = []
    for name in (".python-version", "runtime.txt"):
        if version := re.search(r"(3\.\d+)", project.text(f"{top}{name}")):
            found.append((version[1], project.place(f"{top}{name}", version[1])))
    return found


def _set_packages(names: set[str], report: Report) -> None:
    for name, (build, run) in _PACKAGES.items():
        if name in names:
            if build:
                report.add("app_build_packages", build, f"to compile {name}")
            if run:
                report.add("app_packages", run, f"for {name}")
