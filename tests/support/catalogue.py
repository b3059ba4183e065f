"""The apps of tests/catalogue as git repositories: in the shapes of other people's apps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CATALOGUE = Path(__file__).parent.parent / "catalogue"
NAMES = tuple(sorted(path.name for path in CATALOGUE.iterdir() if path.is_dir()))
# Those that lock their requirements with uv; a lock file that is committed would name a package index.
_LOCKED = ("forum", "monorepo")
PICTURE = bytes(range(256)) * 400


def create(name: str, directory: Path) -> Path:
    """Create the repository of an app in a directory, with one commit on the branch main; return its path."""
    app = directory / name
    shutil.copytree(CATALOGUE / name, app, ignore=shutil.ignore_patterns("__pycache__"))
    if name in _LOCKED:
        run(app, str(Path(sys.executable).parent / "uv"), "lock", "--quiet", "--no-config")
    run(app, "git", "init", "--quiet", "--initial-branch=main")
    if name == "gallery":
        _add_submodule_and_picture(app, directory)
    commit(app, "Add the app")
    return app


def _add_submodule_and_picture(app: Path, directory: Path) -> None:
    """Add the submodule theme.git next to the app, by a relative URL, and a picture in Git LFS."""
    theme = directory / "theme.git"
    theme.mkdir()
    (theme / "style.css").write_text("body { color: purple; }\n")
    run(theme, "git", "init", "--quiet", "--initial-branch=main")
    commit(theme, "Add the theme")
    add = ["submodule", "add", "--quiet", "../theme.git", "theme"]
    run(app, "git", "-c", "protocol.file.allow=always", *add)
    (app / ".gitattributes").write_text("*.jpg filter=lfs diff=lfs merge=lfs -text\n")
    run(app, "git", "lfs", "install", "--local")
    (app / "picture.jpg").write_bytes(PICTURE)


def commit(repository: Path, message: str) -> None:
    """Commit all files."""
    run(repository, "git", "add", "--all")
    run(
        repository,
        "git",
        "-c",
        "user.name=Tester",
        "-c",
        "user.email=tester@example.org",
        "commit",
        "--quiet",
        "--message",
        message,
    )


def run(directory: Path, *command: str) -> None:
    """Run a command in a directory; it must succeed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
