"""The layout of an app's releases on a host: the names of directories, files, links and systemd units.

The only place that defines these names. They must survive an upgrade of Outport, because hosts have them on disk. Only the unit templates of
the role gunicorn and the programs in /opt/outport spell them as well, because they can't import this module.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")
# Shared by all apps of a host: the build tools, the interpreters downloaded by uv, and the build user's home and cache.
TOOLS = Path("/opt/outport")
TOOLS_LOCK = TOOLS / ".lock"
PYTHONS = TOOLS / "python"
BUILDER_HOME = Path("/var/cache/outport-build")
BUILDER_CACHE = BUILDER_HOME / "uv"


@dataclass(frozen=True)
class Release:
    """A release's directory, named by its id: the commit's first 12 digits, a hyphen, and a checksum of its settings."""

    directory: Path

    @property
    def id(self) -> str:
        """The release's id."""
        return self.directory.name

    @property
    def commit(self) -> str:
        """The first digits of its commit."""
        return commit_of(self.id)

    @property
    def app(self) -> Path:
        """The app's code, and the working directory of its processes."""
        return self.directory / "app"

    @property
    def venv(self) -> Path:
        """Link to the virtual environment, which releases share."""
        return self.directory / "venv"

    @property
    def work(self) -> Path:
        """Temporary files of a build."""
        return self.directory / ".work"

    @property
    def runtime(self) -> Path:
        """Directory of the web service's socket."""
        return self.directory / "run"

    @property
    def socket(self) -> Path:
        """The socket of the web service."""
        return self.runtime / "gunicorn.sock"

    @property
    def environment(self) -> Path:
        """Environment variables of every process."""
        return self.directory / "environment"

    @property
    def processes(self) -> Path:
        """JSON: the command of each process, and its memory limit."""
        return self.directory / "processes.json"

    @property
    def description(self) -> Path:
        """JSON: commit, subject, ref, when it was built and by whom."""
        return self.directory / "release.json"

    @property
    def requirements(self) -> Path:
        """Every package of the environment, with its hashes."""
        return self.directory / "requirements.lock"

    @property
    def archive(self) -> Path:
        """Archive that other hosts build the same release from."""
        return self.directory / ".archive.tar"

    @property
    def built(self) -> Path:
        """Marker: the build is complete."""
        return self.directory / ".built"

    @property
    def set_up(self) -> Path:
        """Marker: the set-up commands have succeeded; contains the database's schema revision."""
        return self.directory / ".set-up"

    @property
    def proved(self) -> Path:
        """Marker: it was live and passed its health checks."""
        return self.directory / ".proved"

    @property
    def schema(self) -> Path:
        """The database's schema revision when it went live."""
        return self.directory / "schema"


@dataclass(frozen=True)
class Environment:
    """A virtual environment's directory, named by its key: a checksum of its content."""

    directory: Path

    @property
    def key(self) -> str:
        """The environment's key."""
        return self.directory.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin/python"

    @property
    def complete(self) -> Path:
        """Marker: everything is installed."""
        return self.directory / ".complete"


@dataclass(frozen=True)
class Tool:
    """A build tool in its own virtual environment, named by the tool and a digest of its lock file: `uv-0123456789ab`."""

    name: str
    digest: str

    @property
    def directory(self) -> Path:
        """Its virtual environment."""
        return TOOLS / f"{self.name}-{self.digest}"

    @property
    def program(self) -> Path:
        """Its executable."""
        return self.directory / "bin" / self.name

    @property
    def python(self) -> Path:
        """The interpreter that can import it."""
        return self.directory / "bin/python"

    @property
    def requirements(self) -> Path:
        """Its lock file."""
        return self.directory / "requirements.lock"

    @property
    def installed(self) -> Path:
        """Marker: it is complete."""
        return self.directory / ".installed"


@dataclass(frozen=True)
class App:
    """An app on a host: `name` is also its user and the prefix of its units, `root` its directory."""

    name: str
    root: Path

    @property
    def releases(self) -> Path:
        """The directory of the releases."""
        return self.root / "releases"

    @property
    def environments(self) -> Path:
        """The directory of the virtual environments."""
        return self.root / "venvs"

    @property
    def shared(self) -> Path:
        """The directory of the shared directories, which the app may write to; each release has links to them."""
        return self.root / "shared"

    @property
    def repository(self) -> Path:
        """The bare git clone that releases are built from."""
        return self.root / "repository.git"

    def remove_former_clone(self) -> None:
        """Remove the clone with a working tree that earlier versions had."""
        shutil.rmtree(self.root / "repository", ignore_errors=True)

    @property
    def live(self) -> Path:
        """Link to the live release."""
        return self.root / "live"

    @property
    def previous(self) -> Path:
        """Link to the previous release."""
        return self.root / "previous"

    @property
    def history(self) -> Path:
        """JSON lines: every switch on this host."""
        return self.root / "history.jsonl"

    @property
    def deploy_lock(self) -> Path:
        """JSON: the playbook run that may change releases. On the first host, for all hosts."""
        return self.root / "deploy.lock"

    @property
    def host_lock(self) -> Path:
        """Lock of a module that changes releases on this host."""
        return self.releases / ".lock"

    def release(self, release_id: str) -> Release:
        """Return the release of this id, whether it exists or not."""
        return Release(self.releases / release_id)

    def environment(self, key: str) -> Environment:
        """Return the environment of this key, whether it exists or not."""
        return Environment(self.environments / key)

    def all_releases(self) -> list[Release]:
        """Return every release that has a directory, complete or not."""
        if not self.releases.is_dir():
            return []
        return [Release(Path(entry)) for entry in os.scandir(self.releases) if entry.is_dir(follow_symlinks=False)]

    def named_by(self, link: Path) -> str:
        """Return the id of the release that `live` or `previous` links to; empty for none."""
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
        """Return the services of those processes among `commands` that run on this host."""
        return [
            self.process(name, release_id) for name in commands if (UNITS / f"{self.name}-{name}@.service").exists()
        ]

    def timer(self, process: str) -> str:
        """The timer of a scheduled process, which runs from the live release."""
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
