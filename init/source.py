"""The app's repository, from a URL or a directory: its files, and the settings that fetch it."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from init.report import InitError, Report
from init.settings_check import problem

_TIMEOUT = 300
_URL = re.compile(r"[a-z][a-z0-9+]*://|[^\s/]+@[^\s/:]+:|[^\s/]+:[^\s/\\]")


@dataclass(frozen=True)
class Source:
    """A repository on this machine: its top, the directory in it that was asked for ("" for the top), and how hosts fetch it."""

    top: Path
    subdir: str
    url: str
    ref: str
    commit: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The repository's name."""
        return unquote(re.sub(r"\.git$", "", self.url.rstrip("/")).rpartition("/")[2].rpartition(":")[2])


@contextmanager
def opened(source: str, ref: str, key: str, report: Report, subdir: str = "") -> Iterator[Source]:
    """Yield a clone of the repository of a URL or a directory, at a ref, for as long as it is needed. Raises InitError when it can't be read.

    `subdir` is the directory of the app in it, empty for that of the source.
    """
    if ref and (wrong := problem("app_ref", ref)):
        raise InitError(f"--ref: {wrong}")
    with TemporaryDirectory(prefix="outport-init-") as directory:
        clone = Path(directory) / "app"
        if source and Path(source).is_dir():
            yield _directory(Path(source).resolve(), ref, subdir, clone, report)
        elif _URL.match(source):
            yield _clone(source, ref, key, subdir, clone, report)
        else:
            raise InitError(f"'{source}' is neither a directory nor the URL of a git repository.")


def _git(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    command = ["git", "-c", "safe.directory=*", *map(str, arguments)]
    variables = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", **(environment or {})}
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise InitError(f"git {arguments[0]} timed out after {_TIMEOUT} seconds.") from None
    if done.returncode:
        raise InitError("\n".join(done.stderr.strip().splitlines()[-4:]))
    return done.stdout.strip()


def _clone(url: str, ref: str, key: str, subdir: str, clone: Path, report: Report) -> Source:
    variables = {"GIT_SSH_COMMAND": f"ssh -i {key} -o IdentitiesOnly=yes -o BatchMode=yes"} if key else {}
    try:
        _git("clone", "--quiet", "--depth=1", url, clone, environment=variables)
        if ref:
            _git("-C", clone, "fetch", "--quiet", "--depth=1", "origin", ref, environment=variables)
            _git("-C", clone, "checkout", "--quiet", "--detach", "FETCH_HEAD", environment=variables)
    except InitError as error:
        raise InitError(
            f"{_without_credentials(url)[0]} was not fetched:\n{error}\nFix the URL or --ref; a private repository needs --deploy-key, "
            "or a clone of yours: bin/init DIRECTORY."
        ) from None
    return _source(clone, subdir, url, ref or _git("-C", clone, "rev-parse", "--abbrev-ref", "HEAD"), report)


def _directory(path: Path, ref: str, subdir: str, clone: Path, report: Report) -> Source:
    """Clone the repository of a directory: what is not committed is not deployed."""
    try:
        bare = _git("-C", path, "rev-parse", "--is-bare-repository") == "true"
        top = path if bare else Path(_git("-C", path, "rev-parse", "--show-toplevel"))
        branch = _git("-C", path, "rev-parse", "--abbrev-ref", "HEAD")
    except InitError:
        raise InitError(
            f"{path} has no commits, and the hosts fetch the app from git. Run there: git init && git add --all && git commit"
        ) from None
    try:
        commit = _git("-C", top, "rev-parse", "--verify", "--end-of-options", f"{ref or 'HEAD'}^{{commit}}")
    except InitError:
        raise InitError(f"--ref: {top} has no branch, tag or commit '{ref}'.") from None
    try:
        url = _git("-C", top, "remote", "get-url", "origin")
    except InitError:
        url = ""
    if not _URL.match(url):
        # The path of a remote is one of this machine, and the clone may have commits that it lacks.
        url = top.absolute().as_uri()
    if not bare and _git("-C", top, "status", "--porcelain", "--untracked-files=no"):
        report.note(
            "The directory has changes that are not committed. They were not read, and only commits are deployed."
        )
    _git("clone", "--quiet", "--shared", "--no-checkout", top, clone)
    _git("-C", clone, "checkout", "--quiet", "--detach", commit)
    subdir = subdir or ("" if path == top else str(path.relative_to(top)))
    return _source(clone, subdir, url, ref or (branch if branch != "HEAD" else commit), report)


def _source(top: Path, subdir: str, url: str, ref: str, report: Report) -> Source:
    url, removed = _without_credentials(url)
    if removed:
        report.note(
            "The URL has a user or a password, which is not in the settings. For a private https repository: "
            "ansible-playbook playbooks/encrypt.yml -e secret_name=app_repository_token"
        )
    if url.startswith("file:"):
        report.note(
            f"app_repository is {url}, a directory of this machine. The lab fetches the app from it; hosts on AWS need a git server: "
            "push it, and set app_repository."
        )
    files = tuple(name for name in _git("-C", top, "ls-files", "-z").split("\0") if name)
    return Source(top, subdir, url, ref, _git("-C", top, "rev-parse", "HEAD"), files)


def _without_credentials(url: str) -> tuple[str, bool]:
    """Return a URL without a user and a password, which only ssh needs, and whether it had them."""
    changed = re.sub(r"^(https?://)[^/@]+@", r"\1", url)
    return changed, changed != url
