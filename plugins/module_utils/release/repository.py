"""The git repository of an app on a host: a bare clone of its branches and tags, with clones of its submodules inside."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.release.access import Access
from ansible.module_utils.release.commands import Result, run
from ansible.module_utils.release.errors import ReleaseError

_ALL = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_WANTED = "refs/outport/wanted"
_SUGGESTIONS = 5
_NO_ACCESS = (
    "The host has no access: set app_deploy_key_file (SSH; app_repository_keys where each repository has its own key)"
    " or app_repository_token (https), or allow that key or token to read the repository."
)
# Known errors of git and ssh, and how to fix them. The first match is reported.
_FIXES = (
    (
        r"Authentication failed|could not read (Username|Password)|Permission denied|HTTP Basic: Access denied|403",
        _NO_ACCESS,
    ),
    (
        r"Host key verification failed",
        "The server's SSH host key differs from the one known on this host. If that is right, remove it from root's known_hosts there.",
    ),
    (
        r"not found|does not exist|not appear to be a git repository",
        "Fix app_repository. A private one looks the same to a host without access: it needs app_deploy_key_file or app_repository_token.",
    ),
    (
        r"Could not resolve host|timed out|Connection refused|unable to access|unable to connect|Network is unreachable",
        "Check app_repository, and the host's outbound network access (security group, proxy, DNS).",
    ),
    # Git's own end of every message of an SSH server, whose words differ.
    (r"make sure you have the correct access rights", _NO_ACCESS),
)


@dataclass(frozen=True)
class Archive:
    """A tar file with the files of a repository, whose first `strip` directories are dropped, for the directory `path` of the app."""

    file: Path
    path: str = "."
    strip: int = 0


class Repository:
    """A bare clone of the repository at `url`, in `directory`; `access` is how the host reads it and its submodules."""

    def __init__(self, directory: Path, url: str, access: Access | None = None, modules: Path | None = None) -> None:
        self.directory, self.url, self.access = directory, url, access or Access()
        self._modules = modules or directory / "modules"

    @classmethod
    def existing(cls, directory: Path) -> Repository:
        """Return the clone in a directory."""
        return cls(directory, cls(directory, "").git("config", "remote.origin.url").stdout.strip())

    def git(self, *words: str, allow: str = "") -> Result:
        """Run git in the clone; `allow` limits the protocols, such as `https:ssh`."""
        variables = self._environment() | ({"GIT_ALLOW_PROTOCOL": allow} if allow else {})
        return run(["git", "-C", str(self.directory), *words], env=variables)

    def _environment(self) -> dict[str, str]:
        # Detached, the collection of garbage would be killed with its session.
        config = {"gc.autoDetach": "false", "lfs.concurrenttransfers": "4"}
        return {**os.environ, **self.access.variables(config), "LC_ALL": "C.UTF-8"}

    def head(self) -> str:
        """Return the commit of the last fetch; empty for none."""
        return self._commit("HEAD") if self.directory.is_dir() else ""

    def fetch(self, ref: str, subdir: str = "") -> str:
        """Fetch a branch, a tag or a commit with its submodules in `subdir` and its files in Git LFS; return the commit's id.

        Raises ReleaseError when it does not exist or can't be fetched.
        """
        self._create()
        commit = ref if _is_full(ref) and self._has(ref) else self._fetch(ref)
        # Git LFS reads its configuration from HEAD.
        self.git("update-ref", "--no-deref", "HEAD", commit)
        self._fetch_large_files(commit)
        for _path, module, pinned in self._submodules(commit, subdir):
            module.fetch_commit(pinned)
        return commit

    def fetch_commit(self, commit: str) -> None:
        """Fetch the commit of a submodule, and its own submodules. Raises ReleaseError when that fails."""
        self._create()
        # The app's commit names this URL: it must not run a program on the host or read its files.
        allow = "file:git:http:https:ssh" if self.url.startswith(("/", "file:")) else "git:http:https:ssh"
        for refspecs in (_ALL, (commit,)):
            if not self._has(commit):
                result = self.git("fetch", "--force", "--no-tags", self.url, *refspecs, allow=allow)
        if not self._has(commit):
            raise ReleaseError(
                f"The submodule at {self.url} was not fetched at commit {commit[:12]}.", _fix(result), result.stderr
            )
        self.git("update-ref", "--no-deref", "HEAD", commit)
        self._fetch_large_files(commit)
        for _path, module, pinned in self._submodules(commit):
            module.fetch_commit(pinned)

    def find_remotely(self, ref: str) -> str:
        """Return the id of the commit that a ref names in the remote repository, without a change on this host; empty when unknown."""
        if _is_full(ref):
            return ref
        result = run(["git", "ls-remote", self.url], env=self._environment())
        self._need(result, ref)
        found = {name: commit for commit, _, name in (line.partition("\t") for line in result.stdout.splitlines())}
        known = [name for name in _names_of(ref) if name in found]
        if known:
            return found.get(f"{known[0]}^{{}}", found[known[0]])
        return self._abbreviated(ref) if self.directory.is_dir() else ""

    def has_file(self, commit: str, path: str) -> bool:
        """Return whether a commit has a file."""
        return self.git("cat-file", "-t", f"{commit}:{path}").stdout.strip() == "blob"

    def export(self, commit: str, subdir: str, directory: Path) -> Iterator[Archive]:
        """Write archives of a directory of a commit, and of the submodules in it, into `directory`.

        Raises ReleaseError when the commit has no such directory or a file's content is missing.
        """
        subdir = _plain(subdir)
        if self.git("cat-file", "-t", f"{commit}:{subdir}").stdout.strip() != "tree":
            raise ReleaseError(
                f"The app has no directory '{subdir}' at commit {commit[:12]}.",
                "Fix app_subdir in the settings, and run this again.",
            )
        yield Archive(self._archive(commit, subdir, directory), strip=len(Path(subdir).parts))
        for path, module, pinned in self._submodules(commit, subdir):
            for archive in module.export(pinned, "", directory):
                yield Archive(archive.file, str(Path(path) / archive.path))

    def _create(self) -> None:
        """Create the clone unless it exists, and record its URL, which Git LFS reads."""
        if not (self.directory / "HEAD").exists():
            shutil.rmtree(self.directory, ignore_errors=True)
            run(["git", "init", "--quiet", "--bare", str(self.directory)])
        self.git("config", "remote.origin.url", self.url)

    def _fetch(self, ref: str) -> str:
        """Fetch all branches and tags, and return the commit of a ref."""
        # Pruning comes first, so that a branch `fix` that was deleted does not block a branch `fix/login`.
        self._need(self.git("fetch", "--prune", "--force", "--no-tags", self.url, *_ALL), ref)
        if _is_full(ref):
            if not self._has(ref):
                self.git("fetch", "--no-tags", self.url, ref)
            if not self._has(ref):
                raise self._unknown(ref)
            return ref
        found = {name: commit for name in _names_of(ref) if (commit := self._commit(name))}
        if len(set(found.values())) > 1:
            raise ReleaseError(
                f"'{ref}' is ambiguous in {self.url}: {' and '.join(f'{name} ({found[name][:12]})' for name in found)}.",
                f"Use one of these whole names as the ref, such as {next(iter(found))}.",
            )
        if found:
            return next(iter(found.values()))
        for name in _names_of(ref):
            # Such as a pull request, which is neither a branch nor a tag.
            if self.git("fetch", "--force", "--no-tags", self.url, f"+{name}:{_WANTED}").code == 0:
                return self._commit(_WANTED)
        commit = self._abbreviated(ref)
        if not commit:
            raise self._unknown(ref)
        return commit

    def _fetch_large_files(self, commit: str) -> None:
        """Fetch the files of a commit that are in Git LFS."""
        if self.git("grep", "--quiet", "filter=lfs", commit, "--", ":(glob)**/.gitattributes").code:
            return
        if not shutil.which("git-lfs"):
            raise ReleaseError(
                "The app has files in Git LFS, and this host has no git-lfs.", "Run site.yml, which installs it."
            )
        result = self.git("lfs", "fetch", "origin", commit)
        if result.code:
            raise ReleaseError(f"Files in Git LFS were not fetched from {self.url}.", _fix(result), result.output)

    def _submodules(self, commit: str, subdir: str = "") -> list[tuple[str, Repository, str]]:
        """Return the path in `subdir`, the repository and the commit of each submodule there."""
        top = _plain(subdir)
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", commit, *([top] if top else [])).stdout.split("\0")
        pins = {
            path: entry.split()[2]
            for entry, _, path in (line.partition("\t") for line in listed)
            if "commit" in entry.split()
        }
        if not pins:
            return []
        blob = f"{commit}:.gitmodules"
        values: dict[str, dict[str, str]] = {}
        for item in self.git("config", "--blob", blob, "--null", "--get-regexp", r"^submodule\.").stdout.split("\0"):
            name, _, value = item.partition("\n")
            module, _, key = name.removeprefix("submodule.").rpartition(".")
            values.setdefault(module, {})[key] = value
        urls = {value["path"]: value["url"] for value in values.values() if "path" in value and "url" in value}
        found = []
        for path, pinned in pins.items():
            url = _join(self.url, urls.get(path, ""))
            if not url or url.startswith("-"):
                raise ReleaseError(
                    f"The submodule '{path}' has no URL in .gitmodules at commit {commit[:12]}.",
                    "Add it with `git submodule add`, or remove the directory, and deploy that commit.",
                )
            directory = self._modules / hashlib.sha256(url.encode()).hexdigest()[:16]
            found.append(
                (os.path.relpath(path, top or "."), Repository(directory, url, self.access, self._modules), pinned)
            )
        return found

    def _archive(self, commit: str, subdir: str, directory: Path) -> Path:
        """Write an archive of a commit or a directory of it, with the content of files in Git LFS; return its path."""
        file = directory / f"{self.directory.name}-{commit}.tar"
        # All of it must be there; without this, an archive would have pointers instead.
        large = ("-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.required=true")
        result = self.git(
            *large, "archive", "--format=tar", f"--output={file}", commit, "--", *([subdir] if subdir else [])
        )
        if result.code:
            raise ReleaseError(
                f"The source at commit {commit[:12]} of {self.url} could not be extracted.",
                "Fix the cause above, and run this again.",
                result.stderr,
            )
        file.chmod(0o644)
        return file

    def _has(self, commit: str) -> bool:
        return self.git("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def _commit(self, name: str) -> str:
        """Return the commit of a whole ref name; empty when there is none."""
        return self.git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").stdout.strip()

    def _abbreviated(self, ref: str) -> str:
        """Return the commit that an abbreviated id names; empty when there is none."""
        if not re.fullmatch(r"[0-9a-f]{7,39}", ref):
            return ""
        objects = self.git("rev-parse", f"--disambiguate={ref}").stdout.split()
        commits = [name for name in objects if self.git("cat-file", "-t", name).stdout.strip() == "commit"]
        if len(commits) > 1:
            raise ReleaseError(f"'{ref}' is ambiguous in {self.url}: {', '.join(commits)}.", "Use a full commit id.")
        return commits[0] if commits else ""

    def _need(self, result: Result, ref: str) -> None:
        if result.code:
            raise ReleaseError(f"The app was not fetched from {self.url} at '{ref}'.", _fix(result), result.stderr)

    def _unknown(self, ref: str) -> ReleaseError:
        listed = self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags").stdout.split()
        near = difflib.get_close_matches(ref, listed, _SUGGESTIONS) or listed[:_SUGGESTIONS]
        shown = f"It has: {', '.join(near)}." if near else "It has no branches."
        return ReleaseError(
            f"The app was not fetched from {self.url} at '{ref}': the repository has no such branch, tag or commit. {shown}",
            "Fix app_ref (or the ref of -e ref=), or push it to that repository.",
        )


def _is_full(ref: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}", ref) is not None


def _plain(subdir: str) -> str:
    """Return a directory as git writes it; empty for the top."""
    return "" if subdir == "." else subdir.strip("/").removeprefix("./")


def _names_of(ref: str) -> list[str]:
    """Return the whole names that a ref may stand for, such as `main`, `origin/main` or `refs/heads/main`."""
    ref = re.sub(r"^refs/remotes/origin/", "refs/heads/", ref)
    if ref.startswith("refs/"):
        return [ref]
    own = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"]
    return own + ([f"refs/heads/{ref.removeprefix('origin/')}"] if ref.startswith("origin/") else [])


def _join(base: str, url: str) -> str:
    """Return a submodule's URL; one that begins with ./ or ../ is relative to the repository's."""
    if not url.startswith(("./", "../")):
        return url
    base = base.rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            base = re.sub(r"[/:][^/:]*$", "", base)
        url = url.partition("/")[2]
    return f"{base}/{url}"


def _fix(result: Result) -> str:
    """Return how to fix a failed command of git."""
    known = (fix for pattern, fix in _FIXES if re.search(pattern, result.output, re.IGNORECASE))
    return next(known, "Fix the cause above, and run this again.")
