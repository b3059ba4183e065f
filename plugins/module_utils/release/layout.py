"""Where an app's releases are on a host, and what their files, links and systemd units are called.

Everything else asks here. The names outlive an upgrade of Outport: hosts have them on disk. Other files that spell them, because they
can't import this one, are the unit templates of the role gunicorn and the programs in /opt/outport.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")
# What all apps of a host share: the build's tools, the interpreters that uv downloaded, and the home and cache of the user that builds.
TOOLS = Path("/opt/outport")
TOOLS_LOCK = TOOLS / ".lock"
PYTHONS = TOOLS / "python"
BUILDER_HOME = Path("/var/cache/outport-build")
BUILDER_CACHE = BUILDER_HOME / "uv"


@dataclass(frozen=True)
class Release:
    """A release's folder, by its id: the commit's first 12 digits, a hyphen, and a checksum of what else is in it."""

    folder: Path

    @property
    def id(self) -> str:
        """The release's id."""
        return self.folder.name

    @property
    def commit(self) -> str:
        """The first digits of its commit."""
        return commit_of(self.id)

    @property
    def app(self) -> Path:
        """The app's code, and the working folder of its processes."""
        return self.folder / "app"

    @property
    def venv(self) -> Path:
        """Link to the virtual environment, which releases share."""
        return self.folder / "venv"

    @property
    def work(self) -> Path:
        """What a build needs while it runs."""
        return self.folder / ".work"

    @property
    def runtime(self) -> Path:
        """Where the web service makes its socket."""
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        """The socket that the web service answers at."""
        return self.runtime / "gunicorn.sock"

    @property
    def environment(self) -> Path:
        """Environment variables of every process."""
        return self.folder / "environment"

    @property
    def processes(self) -> Path:
        """JSON: the command of each process, and its memory limit."""
        return self.folder / "processes.json"

    @property
    def description(self) -> Path:
        """JSON: commit, subject, ref, when it was built and by whom."""
        return self.folder / "release.json"

    @property
    def requirements(self) -> Path:
        """Every package of the environment, with its hashes."""
        return self.folder / "requirements.lock"

    @property
    def archive(self) -> Path:
        """What other hosts build the same release from."""
        return self.folder / ".archive.tar"

    @property
    def built(self) -> Path:
        """Marker: the build is complete."""
        return self.folder / ".built"

    @property
    def set_up(self) -> Path:
        """Marker: the commands that a release needs once were run; holds the database's schema revision."""
        return self.folder / ".set-up"

    @property
    def proved(self) -> Path:
        """Marker: it served, and stayed healthy."""
        return self.folder / ".proved"

    @property
    def schema(self) -> Path:
        """The database's schema revision that it works with."""
        return self.folder / "schema"


@dataclass(frozen=True)
class Environment:
    """A virtual environment's folder, by its key: a checksum of what is in it."""

    folder: Path

    @property
    def key(self) -> str:
        """The environment's key."""
        return self.folder.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    @property
    def complete(self) -> Path:
        """Marker: everything is installed."""
        return self.folder / ".complete"


@dataclass(frozen=True)
class Tool:
    """A tool of the build in a virtual environment of its own, by its name and a digest of its lock file: `uv-0123456789ab`."""

    name: str
    digest: str

    @property
    def folder(self) -> Path:
        """Its virtual environment."""
        return TOOLS / f"{self.name}-{self.digest}"

    @property
    def program(self) -> Path:
        """What runs it."""
        return self.folder / "bin" / self.name

    @property
    def python(self) -> Path:
        """The interpreter that can import it."""
        return self.folder / "bin/python"

    @property
    def requirements(self) -> Path:
        """Its lock file."""
        return self.folder / "requirements.lock"

    @property
    def installed(self) -> Path:
        """Marker: it is complete."""
        return self.folder / ".installed"


@dataclass(frozen=True)
class App:
    """An app on a host: `name` is also its user and the beginning of its units, `root` its folder."""

    name: str
    root: Path

    @property
    def releases(self) -> Path:
        """The folder of the releases."""
        return self.root / "releases"

    @property
    def environments(self) -> Path:
        """The virtual environments, each named by a checksum of what is in it."""
        return self.root / "venvs"

    @property
    def repository(self) -> Path:
        """The clone that releases are made from."""
        return self.root / "repository"

    @property
    def live(self) -> Path:
        """Link to the release that serves."""
        return self.root / "live"

    @property
    def previous(self) -> Path:
        """Link to the release that served before."""
        return self.root / "previous"

    @property
    def history(self) -> Path:
        """JSON lines: every switch of this host."""
        return self.root / "history.jsonl"

    @property
    def deploy_lock(self) -> Path:
        """JSON: the run of a playbook that may change releases. On the first host, for all hosts."""
        return self.root / "deploy.lock"

    @property
    def host_lock(self) -> Path:
        """Lock of the module that changes releases on this host."""
        return self.releases / ".lock"

    def release(self, release_id: str) -> Release:
        """The release of this id, whether it is there or not."""
        return Release(self.releases / release_id)

    def environment(self, key: str) -> Environment:
        """The environment of this key, whether it is there or not."""
        return Environment(self.environments / key)

    def all_releases(self) -> list[Release]:
        """Every release that has a folder, complete or not."""
        if not self.releases.is_dir():
            return []
        return [Release(Path(entry)) for entry in os.scandir(self.releases) if entry.is_dir(follow_symlinks=False)]

    def named_by(self, link: Path) -> str:
        """The id of the release that `live` or `previous` leads to; empty for none."""
        return link.resolve().name if link.is_symlink() and link.exists() else ""

    # Units

    def service(self, release_id: str) -> str:
        """The web service of a release."""
        return f"{self.name}@{release_id}.service"

    def socket_unit(self, release_id: str) -> str:
        """The socket of that service."""
        return f"{self.name}@{release_id}.socket"

    def process(self, process: str, release_id: str) -> str:
        """The service of another process of a release."""
        return f"{self.name}-{process}@{release_id}.service"

    def processes_here(self, commands: Iterable[str], release_id: str) -> list[str]:
        """The services of the processes among `commands` that belong on this host."""
        return [
            self.process(name, release_id) for name in commands if (UNITS / f"{self.name}-{name}@.service").exists()
        ]

    def timer(self, process: str) -> str:
        """The timer of a process that is started by the calendar, from whichever release is live."""
        return f"{self.name}-{process}.timer"

    def of_timer(self, timer: str) -> str:
        """The process of a timer."""
        return timer.removeprefix(f"{self.name}-").removesuffix(".timer")

    @property
    def service_patterns(self) -> tuple[str, str]:
        """Patterns of the web service's units, for systemctl: services and sockets."""
        return f"{self.name}@*.service", f"{self.name}@*.socket"

    @property
    def process_pattern(self) -> str:
        """Pattern of the other processes' services."""
        return f"{self.name}-*@*.service"

    @property
    def timer_pattern(self) -> str:
        """Pattern of the timers."""
        return f"{self.name}-*.timer"


def release_of(unit: str) -> str:
    """The id of the release that a unit belongs to."""
    return unit.partition("@")[2].rpartition(".")[0]


def commit_of(release_id: str) -> str:
    """The first digits of a release's commit."""
    return release_id.partition("-")[0]
