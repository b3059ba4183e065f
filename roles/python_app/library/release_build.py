#!/usr/bin/python
"""Ansible module: a release of a Python web app, from a commit of its clone to a locked virtual environment that releases share."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_build
short_description: Build a release of a Python web app
description:
  - Takes a commit of ROOT/repository to ROOT/releases/RELEASE, with an environment in ROOT/venvs that releases with the same lock share.
  - Knows uv.lock, poetry.lock, requirements.txt and a pyproject.toml without a lock; each becomes a requirements.lock with hashes.
  - The code of the app and of its dependencies runs as the user outport-build, never as root. A failure leaves nothing.
  - Before a build, releases and environments that nothing needs are removed, and the free space is checked.
options:
  name: {description: Name of the app; its units are NAME@RELEASE., type: str, required: true}
  root: {description: Folder of the app on the host., type: path, required: true}
  release: {description: Name of the release., type: str, required: true}
  commit: {description: Commit to build., type: str, required: true}
  ref: {description: What the commit was asked for by., type: str, default: ""}
  by: {description: Who asked for the release., type: str, default: ""}
  subdir: {description: Folder of the app in the repository., type: str, default: ""}
  requirements: {description: Lock file in that folder; empty finds it., type: str, default: ""}
  python: {description: Version of Python; empty is the host's own., type: str, default: ""}
  before_build: {description: Commands run before the lock is read., type: list, elements: str, default: []}
  after_build: {description: Commands run when the environment is there., type: list, elements: str, default: []}
  files: {description: Further files of the release and their contents, type: dict, default: {}}
  keep: {description: How many complete releases stay., type: int, default: 5}
  minimum_free_mb: {description: Free space that a build needs., type: int, default: 500}
  tools: {description: "Lock files of the build's tools: uv, poetry and gunicorn.", type: dict, required: true}
  share: {description: Whether to pack an archive that other hosts build from., type: bool, default: false}
  archive: {description: Such an archive of another host; empty resolves here., type: path, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Build the release
  release_build:
    name: shop
    root: /srv/shop
    release: 0123456789ab-012345
    commit: 0123456789abcdef0123456789abcdef01234567
    tools: {uv: "{{ lookup('file', 'uv.txt') }}", poetry: "{{ lookup('file', 'poetry.txt') }}", gunicorn: "{{ lookup('file', 'gunicorn.txt') }}"}
"""

RETURN = r"""
seconds: {description: How long it took., type: float, returned: success}
kind: {description: What the lock was made from., type: str, returned: success}
packages: {description: Packages in the environment., type: int, returned: success}
environment: {description: Name of the environment in ROOT/venvs., type: str, returned: success}
environment_reused: {description: Whether it was there before., type: bool, returned: success}
pruned: {description: Releases and environments that were removed., type: list, elements: str, returned: success}
archive: {description: What other hosts build from; empty without share., type: str, returned: success}
"""

BUILDER = "outport-build"
HOME = Path("/var/cache/outport-build")
CACHE = HOME / "uv"
TOOLS = Path("/opt/outport")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# In the order in which they are looked for.
KINDS = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml")
COMMAND_SECONDS = 1800
LOCK_SECONDS = 900
TAIL_LINES = 15
UV_COMPILE = ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
CHANGE_REQUIREMENTS = "Change the app's requirements (and make its lock file anew), and deploy that commit."

# What uv and poetry say, in which words of ours, and what mends it. The first that fits is told.
CAUSES = (
    (
        r"not found in the package registry|no version of .* matching|there (is|are) no versions? of",
        "A requirement, or the asked version of it, is not in the package index",
        CHANGE_REQUIREMENTS,
    ),
    (
        r"No solution found",
        "The requirements contradict each other, or the Python of this host",
        f"{CHANGE_REQUIREMENTS} Or choose another Python by python_app_python (the setting app_python).",
    ),
    (
        r"Hash mismatch|do not match|has no hashes|must have a hash",
        "What the package index offers is not what the lock file names by hash",
        "Make the lock file anew where the packages can be trusted, and deploy that commit.",
    ),
    (
        r"dns error|error sending request|Connection refused|timed out|Could not connect|Failed to fetch|tunnel",
        "The package index can't be reached from this host",
        "Check the host's way out (security group, proxy, DNS), and run this again.",
    ),
    (
        r"pyproject.toml changed significantly|poetry.lock .*not (up to date|compatible)|run `?poetry lock",
        "poetry.lock does not belong to this pyproject.toml",
        "Run `poetry lock`, commit the lock, and deploy that commit.",
    ),
    (
        r"Failed to build|Failed to download and build|build backend",
        "A package could not be built from its source",
        "Name the Debian packages that it needs in python_app_packages (the setting app_packages), or require a version that has a wheel.",
    ),
)


class BuildError(Exception):
    """Why there is no release: the cause in one sentence, the last words of a tool, and what to mend."""

    def __init__(self, cause: str, mend: str, output: str = "") -> None:
        super().__init__(cause)
        lines = [line.rstrip() for line in output.splitlines() if line.strip()]
        self.text = "\n".join([cause, *(f"  {line}" for line in lines[-TAIL_LINES:]), mend])


@dataclasses.dataclass
class Result:
    """What a command left: its exit code, and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it wrote."""
        return f"{self.stdout}\n{self.stderr}"


@dataclasses.dataclass
class Python:
    """An interpreter: the path of its program, its version, and a tag that differs where environments can't be shared."""

    path: str
    version: tuple[int, ...]
    tag: str

    @property
    def text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def run(argv: list[str], cwd: Path | None = None, env: dict[str, str] | None = None, **files: Any) -> Result:
    """Run a command to its end and return what it wrote. `files`: stdin and stdout as open files, pass_fds. BuildError after half an hour."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Its output goes to files: a process that it leaves behind can't keep us waiting at a pipe.
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err} | files,
        )
        try:
            code = process.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired as late:
            mend = "See what it waits for (a question, an address without an answer), and run this again."
            raise BuildError(f"'{' '.join(argv)[-200:]}' did not end within {COMMAND_SECONDS} s.", mend) from late
        finally:
            # What it began ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Result(code, *texts)


def need(result: Result, cause: str, mend: str, known: tuple[tuple[str, str, str], ...] = CAUSES) -> Result:
    """Return the result of a command that succeeded; BuildError when it did not, with a better cause where its output tells one."""
    if result.code == 0:
        return result
    if re.search(r"No space left on device|os error 28\b", result.output):
        raise disk_full(result.output)
    for pattern, better, remedy in known:
        if re.search(pattern, result.output, re.IGNORECASE):
            raise BuildError(f"{better}: {cause[0].lower()}{cause[1:]}", remedy, result.output)
    raise BuildError(cause, mend, result.output)


def mount_of(path: Path) -> Path:
    """Return the mount point that a path is, or would be, on."""
    path = path.resolve()
    while not (path.exists() and os.path.ismount(path)):
        path = path.parent
    return path


def free_mb(path: Path) -> int:
    """Return the free space of the file system that a path is on, in MB."""
    return shutil.disk_usage(mount_of(path)).free // 1_000_000


def disk_full(output: str, *places: Path) -> BuildError:
    """Return the error for a full disk, naming the fullest of those that a build writes to."""
    mounts = {mount_of(place) for place in (*places, HOME, TOOLS, Path("/srv"), Path("/tmp"))}
    fullest = min(mounts, key=free_mb)
    return BuildError(
        f"The disk is full: {fullest} has {free_mb(fullest)} MB left.",
        f"Make room on {fullest}, or give the host a larger disk, and run this again.",
        output,
    )


def own(path: str) -> None:
    """Give a tree to root, from the top, so that nobody changes what is already given; nobody else may write there, all may read."""
    found = os.lstat(path)
    os.lchown(path, 0, 0)
    if stat.S_ISLNK(found.st_mode):
        return
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        # A socket or a pipe of a build is nothing to serve.
        os.unlink(path)
        return
    readable = 0o555 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o100 else 0o444
    os.chmod(path, (stat.S_IMODE(found.st_mode) | readable) & 0o755)
    if stat.S_ISDIR(found.st_mode):
        for entry in os.scandir(path):
            own(entry.path)


def write(path: Path, text: str) -> None:
    """Write a file as a whole: what a cut-off run leaves is never half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.rename(path)


def finish(folder: Path, marker: str) -> None:
    """Mark a folder as complete, when all of it is on the disk."""
    run(["sync", "--file-system", str(folder)])
    (folder / marker).touch()


def entries(text: str) -> list[str]:
    """Return the lines of a requirements file: continued ones joined, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines())
    return [line for line in lines if line]


def is_option(entry: str) -> bool:
    """Tell whether an entry is an option such as an index, and no requirement."""
    return entry.startswith("-") and not re.match(r"(-e|--editable|-r|--requirement|-c|--constraint)\b", entry)


def is_hashed(entry: str) -> bool:
    """Tell whether a requirement is named by hash."""
    return "--hash=" in entry and not entry.startswith("-")


def is_commit(entry: str) -> bool:
    """Tell whether a requirement is a whole commit of a git repository, which is as good as a hash."""
    return re.search(r"@\s*git\+\S+@[0-9a-f]{40}\b", entry) is not None


def names_in(text: str) -> set[str]:
    """Return the normalised names of the packages that a requirements file names."""
    found = (re.match(r"[A-Za-z0-9][\w.-]*", entry) for entry in entries(text))
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def release_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a version; ValueError when it is none."""
    return tuple(int(part) for part in text.split("."))


def satisfies(version: tuple[int, ...], clause: str) -> bool:
    """Tell whether a version of Python satisfies one clause, such as `>=3.11`, `~=3.12`, `==3.12.*`, or poetry's `^3.11`."""
    match = re.fullmatch(r"(~=|===?|!=|>=|<=|>|<|\^|~)?\s*([\d.]+?)(\.\*)?", clause.strip())
    if not match:
        # Not a version of Python that is released; uv decides.
        return True
    operator, wanted = match[1] or "==", release_of(match[2])
    if match[3] or operator in ("===", "==", "!="):
        same = version[: len(wanted)] == wanted
        return same != (operator == "!=")
    if operator in ("~=", "^", "~"):
        above = {"~=": wanted[:-1], "^": wanted[:1], "~": wanted[:2]}[operator]
        return version >= wanted and version[: len(above)] == above
    # 3.12.4 is no more than 3.12.4, and 3.12 is 3.12.0.
    padded = wanted + (0,) * (len(version) - len(wanted))
    return {">=": version >= padded, "<=": version <= padded, ">": version > padded, "<": version < padded}[operator]


def fits(version: tuple[int, ...], wanted: str) -> bool:
    """Tell whether a version of Python fits a requires-python: clauses joined by commas, or alternatives of poetry joined by ||."""
    return any(
        all(satisfies(version, clause) for clause in either.split(",") if clause.strip())
        for either in wanted.split("||")
    )


def pins_in(lock: str) -> list[tuple[str, str]]:
    """Return the normalised name and the version of each package that a lock pins."""
    found = (re.match(r"([A-Za-z0-9][\w.-]*)(?:\[.*?\])?==([^\s;]+)", entry) for entry in entries(lock))
    return [(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]) for match in found if match]


class Build:
    """One run: the folders of the app, and the steps from a commit to a release."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.root = Path(params["root"])
        self.releases, self.venvs = self.root / "releases", self.root / "venvs"
        self.release = self.releases / params["release"]
        self.app, self.work = self.release / "app", self.release / ".work"
        self.began = time.monotonic()
        self.pruned: list[str] = []
        self.lock_file = -1
        self.uv = TOOLS / f"uv-{self.tool_digest('uv')}" / "bin/uv"

    # The whole

    def is_built(self) -> bool:
        """Tell whether the release is there."""
        return (self.release / ".built").exists()

    def build(self) -> dict[str, Any]:
        """Build the release unless it is there; return the module's result."""
        with self.locked():
            if self.is_built():
                told = self.told()
                return self.result(changed=False, reused=True, archive=self.packed(told.get("environment", "")), **told)
            self.prune()
            self.check_space()
            try:
                told, reused = self.make()
                archive = self.packed(told["environment"])
                finish(self.release, ".built")
            except BaseException:
                shutil.rmtree(self.release, ignore_errors=True)
                raise
            return self.result(changed=True, reused=reused, archive=archive, **told)

    def result(self, changed: bool, reused: bool, archive: str = "", **told: Any) -> dict[str, Any]:
        """Return what the module tells."""
        return {
            "changed": changed,
            "seconds": round(time.monotonic() - self.began, 2),
            "kind": told.get("kind", ""),
            "packages": told.get("packages", 0),
            "subject": told.get("subject", ""),
            "environment": told.get("environment", ""),
            "environment_reused": reused,
            "pruned": self.pruned,
            "archive": archive,
        }

    def told(self) -> dict[str, Any]:
        """Return the release.json of the release that is there."""
        path = self.release / "release.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only run for this app. A run that was cut off may still be at work; its commands hold the lock as well."""
        self.releases.mkdir(parents=True, exist_ok=True)
        with (self.releases / ".lock").open("w") as file:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as busy:
                    if time.monotonic() > deadline:
                        mend = f"See which process holds {file.name} (fuser -v {file.name}), let it end, and run this again."
                        raise BuildError(f"Another build of {self.params['name']} is still at work.", mend) from busy
                    time.sleep(0.2)
            self.lock_file = file.fileno()
            yield

    def make(self) -> tuple[dict[str, Any], bool]:
        """Make the release but for its marker; return its release.json, and whether the environment was there."""
        self.ensure_builder()
        self.ensure_uv()
        shutil.rmtree(self.release, ignore_errors=True)
        self.take_source()
        self.hooks("before_build", PATH)
        file = self.find_requirements()
        project = self.read_project(file.parent)
        python = self.find_python()
        self.check_python(python, project)
        lock = self.with_gunicorn(self.lock(file, python, project))
        self.check_lock(lock)
        key, reused = self.ensure_environment(lock, python, file.parent, project)
        (self.release / "venv").symlink_to(f"../../venvs/{key}")
        self.hooks("after_build", f"{self.release}/venv/bin:{PATH}")
        # As the builder, and only compiled: nothing runs. A file that is no Python (a template) is left as it is.
        self.as_builder([python.path, "-I", "-S", "-m", "compileall", "-q", str(self.app)])
        own(str(self.app))
        shutil.rmtree(self.work)
        (self.release / "run").mkdir()
        self.write_files()
        write(self.release / "requirements.lock", lock)
        told = self.describe(file.name if file.name in KINDS else "requirements.txt", key)
        write(self.release / "release.json", json.dumps(told, indent=2) + "\n")
        return told, reused

    def write_files(self) -> None:
        """Write what the release has besides the app; the app's user reads it and no other."""
        group = pwd.getpwnam(self.params["name"]).pw_gid
        for name, content in self.params["files"].items():
            path = self.release / name
            write(path, content)
            os.chown(path, 0, group)
            path.chmod(0o640)

    def describe(self, kind: str, key: str) -> dict[str, Any]:
        """Return the content of release.json."""
        commit = self.params["commit"]
        shown = self.git("log", "-1", "--format=%ct%n%s", commit).stdout.splitlines()
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        return {
            "release": self.params["release"],
            "commit": commit,
            "subject": shown[1] if len(shown) > 1 else "",
            "ref": self.params["ref"],
            "committed": datetime.fromtimestamp(int(shown[0]), UTC).strftime(stamp),
            "built": datetime.now(UTC).strftime(stamp),
            "by": self.params["by"],
            "kind": kind,
            "packages": len(glob.glob(f"{self.venvs / key}/lib/python*/site-packages/*.dist-info")),
            "environment": key,
        }

    # Users and tools

    def ensure_builder(self) -> None:
        """Ensure the user that code of the app and its dependencies runs as: not root, nor one that owns anything else."""
        try:
            pwd.getpwnam(BUILDER)
        except KeyError:
            need(
                run(
                    [
                        "/usr/sbin/useradd",
                        "--system",
                        f"--home-dir={HOME}",
                        "--create-home",
                        "--shell=/usr/sbin/nologin",
                        BUILDER,
                    ]
                ),
                f"The user {BUILDER} could not be made.",
                "Mend the host's users, and run this again.",
            )

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a tool: that of this run, proxies among it, with the build's own home, cache and rules."""
        # TLS to the package index is checked with the system's CAs: a company's proxy is known there.
        return (
            {
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTHON", "VIRTUAL_ENV", "SUDO_"))
            }
            | {"HOME": str(HOME), "PATH": PATH, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
            | {"UV_CACHE_DIR": str(CACHE), "UV_SYSTEM_CERTS": "1", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
            | more
        )

    def as_builder(
        self, argv: list[str], cwd: Path | None = None, files: dict[str, Any] | None = None, **more: str
    ) -> Result:
        """Run a command as the unprivileged user, in app/ unless another folder is named. `more`: its environment besides the common one."""
        return run(
            ["/usr/sbin/runuser", "-u", BUILDER, "--", *argv],
            cwd or self.app,
            self.environment(**more),
            # A run that is cut off leaves its command; the lock stays until that ends as well.
            **{"pass_fds": (self.lock_file,)} | (files or {}),
        )

    def read(self, path: Path) -> str:
        """Return a file of the app as the unprivileged user sees it: a link in the app must not show root's files."""
        return need(self.as_builder(["cat", str(path)]), f"{path.name} can't be read.", "Make it a plain file.").stdout

    def git(self, *words: str) -> Result:
        """Run git in the app's clone."""
        result = run(["git", "-C", str(self.root / "repository"), *words])
        return need(result, f"git can't show commit {self.params['commit']}.", "Mend app_ref, and run this again.")

    def tool_digest(self, name: str) -> str:
        """Return the name of a version of a tool: that of its lock."""
        return hashlib.sha256(self.params["tools"][name].encode()).hexdigest()[:12]

    def ensure_uv(self) -> None:
        """Ensure uv as it is locked."""
        folder = self.uv.parent.parent
        with self.tool(folder) as lock:
            if lock:
                mend = "Check the host's way to the package index, and run this again."
                need(run(["/usr/bin/python3", "-m", "venv", str(folder)]), "uv's environment could not be made.", mend)
                pip = [f"{folder}/bin/pip", "--quiet", "--disable-pip-version-check", "install", "--only-binary=:all:"]
                lock.write_text(self.params["tools"]["uv"])
                need(run([*pip, "--require-hashes", "--requirement", str(lock)]), "uv could not be installed.", mend)

    def ensure_poetry(self) -> Path:
        """Ensure poetry as it is locked; return its program."""
        folder = TOOLS / f"poetry-{self.tool_digest('poetry')}"
        with self.tool(folder) as lock:
            if lock:
                mend = "Check the host's way to the package index, and run this again."
                lock.write_text(self.params["tools"]["poetry"])
                # Wheels alone: installing one runs nothing. Not the shared cache, which the builder can write to.
                environment = self.environment(UV_NO_CACHE="1")
                venv = ["venv", "--python", "/usr/bin/python3", "--allow-existing", str(folder)]
                sync = ["pip", "sync", "--require-hashes", "--no-build", "--compile-bytecode", "--link-mode=copy"]
                for words in (venv, [*sync, f"--python={folder}/bin/python", str(lock)]):
                    need(run([str(self.uv), *words], env=environment), "poetry could not be installed.", mend)
        return folder / "bin/poetry"

    @contextlib.contextmanager
    def tool(self, folder: Path) -> Iterator[Path | None]:
        """Give the path for a tool's lock file when its folder has to be made; mark the folder as complete afterwards."""
        TOOLS.mkdir(parents=True, exist_ok=True)
        # Apps on one host share the tools.
        with (TOOLS / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if (folder / ".installed").exists():
                yield None
                return
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder / "requirements.lock"
            finish(folder, ".installed")

    # What the app is

    def take_source(self) -> None:
        """Put the app's folder at the commit into app/, which belongs to the builder for the time of the build."""
        subdir = self.params["subdir"].strip("/").removeprefix("./")
        tree = f"{self.params['commit']}:{'' if subdir == '.' else subdir}"
        self.app.mkdir(parents=True)
        self.work.mkdir()
        archive = self.work / "source.tar"
        need(
            run(["git", "-C", str(self.root / "repository"), "archive", "--format=tar", f"--output={archive}", tree]),
            f"The app has no folder '{subdir}' at commit {self.params['commit'][:12]}.",
            "Mend app_subdir in the settings, and run this again.",
        )
        builder = pwd.getpwnam(BUILDER)
        os.chown(self.app, builder.pw_uid, builder.pw_gid)
        archive.chmod(0o644)
        result = self.as_builder(["tar", "--extract", "--no-same-owner", f"--file={archive}"])
        need(result, "The app's source could not be unpacked.", "See above.")
        archive.unlink()

    def hooks(self, when: str, path: str) -> None:
        """Run the commands of python_app_before_build or python_app_after_build in app/."""
        for command in self.params[when]:
            result = self.as_builder(["/bin/sh", "-c", command], PATH=path)
            if result.code:
                cause = f"A command of python_app_{when} failed with exit code {result.code}: {command}"
                mend = f"Mend the command (app_{when}) or the app, and run this again."
                raise (
                    disk_full(result.output)
                    if "No space left" in result.output
                    else BuildError(cause, mend, result.output)
                )

    def find_requirements(self) -> Path:
        """Return the file that names the requirements; BuildError when there is none."""
        where = f"in the folder '{self.params['subdir'] or '.'}' at commit {self.params['commit'][:12]}"
        if wanted := self.params["requirements"]:
            file = self.app / wanted
            if ".." in file.parts or not file.is_file():
                mend = "Mend python_app_requirements (or app_subdir), leave it empty to find the file, or add the file to the app."
                raise BuildError(f"The app has no '{wanted}' {where}.", mend)
            return file
        for name in KINDS:
            if (self.app / name).is_file():
                return self.app / name
        found = ", ".join(sorted(os.listdir(self.app))[:10]) or "nothing"
        mend = "Mend app_subdir, or add one of these files to the app."
        raise BuildError(f"The app has no {', '.join(KINDS[:-1])} or {KINDS[-1]} {where}; found {found}.", mend)

    def read_project(self, folder: Path) -> dict[str, Any]:
        """Return the content of pyproject.toml; an empty dict without one. BuildError when it is no TOML."""
        path = folder / "pyproject.toml"
        if not path.is_file():
            return {}
        try:
            return tomllib.loads(self.read(path))
        except tomllib.TOMLDecodeError as wrong:
            raise BuildError(
                f"The app's pyproject.toml is not valid TOML: {wrong}.", "Mend it, and deploy that commit."
            ) from wrong

    @staticmethod
    def is_package(project: dict[str, Any]) -> bool:
        """Tell whether the project itself is to be installed."""
        tool = project.get("tool", {})
        if "package" in tool.get("uv", {}):
            return bool(tool["uv"]["package"])
        return "build-system" in project and tool.get("poetry", {}).get("package-mode", True)

    # Python

    def find_python(self) -> Python:
        """Return the interpreter that the environment is made with; BuildError when it can't be had."""
        wanted = self.params["python"]
        if not wanted:
            return self.look_at("/usr/bin/python3")
        if not re.fullmatch(r"3\.\d+(\.\d+)?", wanted):
            raise BuildError(
                f"python_app_python is '{wanted}', which is no version of Python.",
                'Write it like "3.12", or leave it empty for the host\'s own (the setting app_python).',
            )
        hosts = Path(f"/usr/bin/python{'.'.join(wanted.split('.')[:2])}")
        if hosts.exists():
            python = self.look_at(str(hosts))
            if satisfies(python.version, f"=={wanted}"):
                return python
        return self.managed_python(wanted)

    def managed_python(self, wanted: str) -> Python:
        """Return an interpreter that uv keeps below /opt/outport, downloaded when it is not there."""
        environment = self.environment(
            UV_PYTHON_INSTALL_DIR=str(TOOLS / "python"), UV_PYTHON_DOWNLOADS="manual", UV_NO_CACHE="1", HOME="/root"
        )
        find = [str(self.uv), "python", "find", "--managed-python", "--no-python-downloads", "--no-project", wanted]
        found = run(find, Path("/"), environment)
        if found.code:
            host = self.look_at("/usr/bin/python3").text
            install = [str(self.uv), "python", "install", "--no-bin", wanted]
            result = run(install, Path("/"), environment)
            if result.code:
                raise BuildError(
                    f"Python {wanted} can't be had: it is not in /usr/bin, and its download failed.",
                    f"Let the host reach the download, or set python_app_python (the setting app_python) to a version that the host has ({host}).",
                    result.output,
                )
            found = need(
                run(find, Path("/"), environment),
                f"Python {wanted} is not there after its download.",
                "Run this again.",
            )
        return self.look_at(found.stdout.strip())

    @staticmethod
    def look_at(path: str) -> Python:
        """Return what an interpreter says of itself."""
        ask = "import json, sys, sysconfig as s; print(json.dumps([sys.version_info[:3], s.get_config_var('SOABI'), sys.base_prefix]))"
        result = need(run([path, "-I", "-S", "-c", ask]), f"{path} does not run.", "Install Python on the host.")
        version, abi, prefix = json.loads(result.stdout)
        return Python(path, tuple(version), f"{abi} {prefix}")

    def check_python(self, python: Python, project: dict[str, Any]) -> None:
        """Refuse an interpreter that the app says it does not work with."""
        poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
        wanted = str(project.get("project", {}).get("requires-python") or poetry)
        if not fits(python.version, wanted):
            raise BuildError(
                f"The app requires Python {wanted} (pyproject.toml), and the build would use {python.text} ({python.path}).",
                'Set python_app_python (the setting app_python) to a version that fits, such as "3.12", and run this again.',
            )

    # The lock

    def lock(self, file: Path, python: Python, project: dict[str, Any]) -> str:
        """Return the requirements with their hashes; those of the archive when there is one."""
        if self.params["archive"]:
            return self.unpack()
        if file.name == "uv.lock":
            words = ["export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
            return self.ask_uv([*words, "--python", python.path], file)
        if file.name == "poetry.lock":
            words = ["export", "--format=requirements.txt", "--without-urls", "--no-interaction", "--no-ansi"]
            result = self.as_builder(
                [str(self.ensure_poetry()), *words], file.parent, POETRY_VIRTUALENVS_CREATE="false"
            )
            return need(result, "poetry can't read the app's poetry.lock.", "Mend it, and deploy that commit.").stdout
        if file.name == "pyproject.toml":
            tool = project.get("tool", {})
            if "project" not in project and "poetry" not in tool:
                mend = f"Add one of {', '.join(KINDS[:-1])}, or a [project] with its dependencies, or mend app_subdir."
                raise BuildError("The app has no lock file, and its pyproject.toml names no project.", mend)
        else:
            text = self.read(file)
            lines = [entry for entry in entries(text) if not is_option(entry)]
            if lines and all(is_hashed(line) or is_commit(line) for line in lines):
                return text
        return self.ask_uv(["pip", "compile", *UV_COMPILE, "--python", python.path, file.name], file)

    def ask_uv(self, words: list[str], file: Path) -> str:
        """Return the lock that uv makes from a file."""
        result = self.as_builder([str(self.uv), *words], file.parent)
        return need(result, f"uv can't make a lock from the app's {file.name}.", CHANGE_REQUIREMENTS).stdout

    def with_gunicorn(self, lock: str) -> str:
        """Return the lock with our gunicorn in it, unless the app brings its own."""
        names = names_in(lock)
        if "gunicorn" in names:
            return lock
        added = [entry for entry in entries(self.params["tools"]["gunicorn"]) if not names_in(entry) & names]
        return "\n".join([lock.rstrip("\n"), *added, ""]).lstrip("\n")

    @staticmethod
    def check_lock(lock: str) -> None:
        """Refuse requirements that may change unseen: neither named by hash nor by commit."""
        bad = [entry for entry in entries(lock) if not (is_option(entry) or is_hashed(entry) or is_commit(entry))]
        if bad:
            shown = "; ".join(entry[:100] for entry in bad[:5])
            raise BuildError(
                f"{len(bad)} requirements have no hash, because they are folders, files or addresses: {shown}",
                "Require a release from the package index or a git repository (name @ git+https://...). Code beside the app belongs into the app.",
            )

    # The environment

    def ensure_environment(self, lock: str, python: Python, folder: Path, project: dict[str, Any]) -> tuple[str, bool]:
        """Ensure the environment of a lock; return its name, and whether it was there."""
        package = self.is_package(project)
        inputs = [lock, python.tag, self.tool_digest("uv")]
        if package:
            inputs += [
                self.params["commit"],
                str(folder.relative_to(self.release)),
                self.params["subdir"],
                *self.params["before_build"],
            ]
        key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
        venv = self.venvs / key
        if (venv / ".complete").exists():
            return key, True
        shutil.rmtree(venv, ignore_errors=True)
        venv.mkdir(parents=True)
        builder = pwd.getpwnam(BUILDER)
        os.chown(venv, builder.pw_uid, builder.pw_gid)
        try:
            self.fill(venv, lock, python)
            if package:
                self.install_project(venv, folder)
            own(str(venv))
            finish(venv, ".complete")
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)
            raise
        return key, False

    def fill(self, venv: Path, lock: str, python: Python) -> None:
        """Make an environment of exactly what the lock names."""
        made = self.as_builder([str(self.uv), "venv", "--allow-existing", "--python", python.path, str(venv)])
        need(made, "The virtual environment could not be made.", "Mend the cause above, and run this again.")
        lines = entries(lock)
        hashed, commits = self.work / "hashed.txt", self.work / "commits.txt"
        hashed.write_text("\n".join(line for line in lines if not is_commit(line)) + "\n")
        commits.write_text("\n".join(line for line in lines if is_commit(line)) + "\n")
        common = ["--compile-bytecode", "--link-mode", "copy", "--python", f"{venv}/bin/python"]
        self.install_received(lock, common)
        told = "The locked packages could not be installed."
        result = self.as_builder([str(self.uv), "pip", "sync", "--require-hashes", *common, str(hashed)])
        need(result, told, CHANGE_REQUIREMENTS)
        if any(map(is_commit, lines)):
            result = self.as_builder(
                [str(self.uv), "pip", "install", "--no-deps", *common, "--requirement", str(commits)]
            )
            need(result, told, "Mend the git address, or let the host read that repository without a password.")

    def install_project(self, venv: Path, folder: Path) -> None:
        """Install the app itself, from a copy: a build leaves its traces in the source."""
        # A version that is taken from git's tags can't be found in an archive.
        version = f"0.0.0+g{self.params['commit'][:12]}"
        copy = self.builders_folder("source")
        told = "The app itself could not be installed as a package."
        mend = "Mend [build-system] and the package's files, or say that it is none ([tool.uv] package = false, [tool.poetry] package-mode = false)."
        need(self.as_builder(["cp", "--archive", f"{folder}/.", str(copy)]), told, mend)
        words = [
            "pip",
            "install",
            "--no-deps",
            "--compile-bytecode",
            "--link-mode",
            "copy",
            "--python",
            f"{venv}/bin/python",
            ".",
        ]
        result = self.as_builder([str(self.uv), *words], copy, SETUPTOOLS_SCM_PRETEND_VERSION=version)
        # That its build failed is no news; why is in the output.
        need(result, told, mend, CAUSES[:-1])

    # Several hosts

    def packed(self, environment: str) -> str:
        """Return the archive that other hosts build this release from, packed when it is not there; empty unless they are to share."""
        path, lock = self.release / ".archive.tar", self.release / "requirements.lock"
        if not self.params["share"] or not environment or not lock.exists():
            return ""
        if not path.exists():
            part = path.with_suffix(".part")
            private = partial(os.open, mode=0o600)
            with open(part, "wb", opener=private) as file, tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(lock, "requirements.lock")
                if wheels := self.built_wheels(lock.read_text()):
                    add(archive, "wheels.tar", wheels)
            part.rename(path)
        return str(path)

    def built_wheels(self, lock: str) -> bytes:
        """Return a tar of the wheels that this host built for packages of a lock; empty without any."""
        newest: dict[str, str] = {}
        for name, version in pins_in(lock):
            for index in ("pypi", "index/*"):
                pattern = f"sdists-v*/{index}/{name}/{glob.escape(version)}/**/*.whl"
                for path in sorted(glob.glob(pattern, root_dir=CACHE, recursive=True), key=self.age):
                    newest[Path(path).name] = path
        if not newest:
            return b""
        # As the builder, whose files they are: a link among them must not show root's files.
        pack = ["tar", "--create", "--file=-", "--transform=s,.*/,,", *newest.values()]
        with tempfile.TemporaryFile() as out:
            result = self.as_builder(pack, CACHE, {"stdout": out})
            need(result, "The built wheels could not be packed.", "Mend the cause above, and run this again.")
            out.seek(0)
            return out.read()

    @staticmethod
    def age(path: str) -> int:
        """Return when a file of the cache was written."""
        return os.lstat(CACHE / path).st_mtime_ns

    def unpack(self) -> str:
        """Return the lock of another host's archive; its wheels go into a folder of this build, and never into the cache."""
        with tarfile.open(self.params["archive"]) as archive:
            inside = {name: archive.extractfile(name) for name in archive.getnames()}
            if not inside.get("requirements.lock"):
                raise BuildError(
                    f"{self.params['archive']} has no requirements.lock.", "Begin with the first host again."
                )
            lock = inside["requirements.lock"].read().decode()
            if wheels := inside.get("wheels.tar"):
                folder = self.builders_folder("wheels")
                with tempfile.TemporaryFile() as file:
                    shutil.copyfileobj(wheels, file)
                    file.seek(0)
                    # As the builder: whatever the archive says, it writes only where a build may write.
                    words = ["tar", "--extract", "--no-same-owner", "--file=-"]
                    result = self.as_builder(words, folder, {"stdin": file})
                    need(
                        result,
                        "The archive's wheels could not be unpacked.",
                        "Mend the cause above, and run this again.",
                    )
        return lock

    def builders_folder(self, name: str) -> Path:
        """Make a folder for this build that the builder can write to."""
        folder, builder = self.work / name, pwd.getpwnam(BUILDER)
        folder.mkdir()
        os.chown(folder, builder.pw_uid, builder.pw_gid)
        return folder

    def install_received(self, lock: str, common: list[str]) -> None:
        """Install the wheels that another host built, so that they are not built again here."""
        folder = self.work / "wheels"
        if not folder.is_dir():
            return
        found = {re.sub(r"[-_.]+", "-", name.split("-")[0]).lower() for name in os.listdir(folder)}
        wanted = [f"{name}=={version}" for name, version in pins_in(lock) if name in found]
        for one in wanted:
            # What does not fit this host (another processor, another Python) is built below as everywhere.
            self.as_builder(
                [str(self.uv), "pip", "install", "--no-deps", "--no-index", f"--find-links={folder}", *common, one]
            )

    # Room

    def check_space(self) -> None:
        """Refuse to build on a disk that is nearly full."""
        free, expected = free_mb(self.root), self.params["minimum_free_mb"]
        if free < expected:
            raise BuildError(
                f"{mount_of(self.root)} has {free} MB free for {self.root}, and a build needs {expected} MB (python_app_minimum_free_mb).",
                "Make room there, keep fewer releases (python_app_keep), or give the host a larger disk, and run this again.",
            )

    def prune(self) -> None:
        """Remove what no run will need: releases without a marker, old ones that nothing names, environments without a release."""
        folders = {
            entry.name: Path(entry) for entry in os.scandir(self.releases) if entry.is_dir(follow_symlinks=False)
        }
        complete = [name for name, folder in folders.items() if (folder / ".built").exists()]
        complete.sort(key=lambda name: (folders[name] / ".built").stat().st_mtime_ns, reverse=True)
        # The one that is built now is the newest.
        old = complete[max(self.params["keep"] - 1, 0) :]
        gone = [name for name in folders if name not in complete] + old
        in_use = self.in_use() if gone else set()
        for name in sorted(set(gone) - in_use):
            # Without its marker first: a removal that is cut off leaves no release that looks complete.
            (folders[name] / ".built").unlink(missing_ok=True)
            shutil.rmtree(folders[name])
            self.pruned.append(f"releases/{name}")
        self.prune_environments()

    def prune_environments(self) -> None:
        """Remove the environments that no release names."""
        used = {Path(os.readlink(link)).name for link in glob.glob(f"{self.releases}/*/venv") if os.path.islink(link)}
        for folder in sorted(self.venvs.glob("*")):
            if folder.name not in used:
                (folder / ".complete").unlink(missing_ok=True)
                shutil.rmtree(folder)
                self.pruned.append(f"venvs/{folder.name}")

    def in_use(self) -> set[str]:
        """Return the releases that `live` or `previous` names, or that a unit of systemd runs."""
        links = [self.root / name for name in ("live", "previous")]
        named = {Path(os.readlink(link)).name for link in links if link.is_symlink()}
        app = self.params["name"]
        words = ["systemctl", "list-units", "--plain", "--no-legend", "--full", f"{app}@*.service", f"{app}@*.socket"]
        shown = need(
            run(words), "systemd can't say which releases run.", "Mend the host's systemd, and run this again."
        )
        return named | set(re.findall(rf"^{re.escape(app)}@(\S+)\.(?:service|socket)\s", shown.stdout, re.MULTILINE))


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def stop(number: int, _frame: object) -> NoReturn:
    """End the run in order, so that what it began is removed."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "commit": {"type": "str", "required": True},
            "ref": {"type": "str", "default": ""},
            "by": {"type": "str", "default": ""},
            "subdir": {"type": "str", "default": ""},
            "requirements": {"type": "str", "default": ""},
            "python": {"type": "str", "default": ""},
            "before_build": {"type": "list", "elements": "str", "default": []},
            "after_build": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "dict", "default": {}},
            "keep": {"type": "int", "default": 5},
            "minimum_free_mb": {"type": "int", "default": 500},
            "tools": {"type": "dict", "required": True},
            "share": {"type": "bool", "default": False},
            "archive": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    # In a path and in the name of a unit.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", module.params["release"]):
        module.fail_json(
            msg=f"'{module.params['release']}' is no name for a release: letters, digits, '.', '_' and '-'."
        )
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    build = Build(dict(module.params))
    # Nobody wants to read the lock files of the tools in a result.
    module.params["tools"] = sorted(module.params["tools"])
    if module.check_mode:
        there = build.is_built()
        module.exit_json(**build.result(changed=not there, reused=there, **build.told()))
    try:
        module.exit_json(**build.build())
    except BuildError as wrong:
        module.fail_json(msg=f"Release {module.params['release']} was not built. {wrong.text}", pruned=build.pruned)
    except OSError as wrong:
        if wrong.errno != errno.ENOSPC:
            raise
        module.fail_json(
            msg=f"Release {module.params['release']} was not built. {disk_full('', build.root).text}",
            pruned=build.pruned,
        )


if __name__ == "__main__":
    main()
