"""Commits on the lab's git server, of the example app and of others."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.layout import GIT_URL, STATE

# The repository of the example app, the branch that the lab deploys, and its entry point.
APP, DEPLOYED, _ENTRY = "app", "lab", "app/run.py"
# Header that `publish_change` adds to the app's responses.
HEADER = "X-Change"


def address(name: str) -> str:
    """Return the URL of a repository for the hosts."""
    return f"{GIT_URL}/{name}.git"


def publish(name: str, branch: str, files: Mapping[str, str], onto: str = "", message: str = "Change the app") -> str:
    """Create a commit on a branch of a repository and return its id.

    It has the files (contents by path) of `onto`, a branch or a commit, and those of `files`; without `onto` only the latter.
    A missing repository is created.
    """
    bare = STATE / f"git/{name}.git"
    if not bare.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", bare], check=True, timeout=60)
    with TemporaryDirectory() as directory:
        index = str(Path(directory) / "index")
        if onto:
            _git(bare, index, "read-tree", onto)
        for path, content in files.items():
            blob = _git(bare, index, "hash-object", "-w", "--stdin", text=content)
            _git(bare, index, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = _git(bare, index, "write-tree")
        parents = ["-p", onto] if onto else []
        commit = _git(bare, index, "commit-tree", *parents, "-m", message, tree)
        _git(bare, index, "update-ref", f"refs/heads/{branch}", commit)
    return commit


def publish_change(branch: str, mark: str) -> str:
    """Create a commit on a branch of the app, with one line added to the deployed version, and return its id.

    With that line, every response of the app has the header `HEADER` with the value `mark`.
    """
    bare = STATE / f"git/{APP}.git"
    line = f'app.after_request(lambda response: response.headers.set("{HEADER}", "{mark}") or response)\n'
    entry = _git(bare, os.devnull, "show", f"{DEPLOYED}:{_ENTRY}")
    existing = _git(bare, os.devnull, "for-each-ref", f"refs/heads/{branch}")
    return publish(APP, branch, {_ENTRY: f"{entry}\n{line}"}, branch if existing else DEPLOYED, f"Set the mark {mark}")


def remove_branch(name: str, branch: str) -> None:
    """Remove a branch of a repository. Safe to repeat."""
    _git(STATE / f"git/{name}.git", os.devnull, "update-ref", "-d", f"refs/heads/{branch}")


def remove(name: str) -> None:
    """Remove a repository. Safe to repeat."""
    shutil.rmtree(STATE / f"git/{name}.git", ignore_errors=True)


def _git(bare: Path, index: str, *arguments: str, text: str | None = None) -> str:
    author = ["-c", "user.name=Outport lab", "-c", "user.email=lab@lab.test"]
    return subprocess.run(
        ["git", *author, *arguments],
        cwd=bare,
        env={**os.environ, "GIT_INDEX_FILE": index},
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
