"""The lab's git server: clones, Git LFS, and tokens."""

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from support import catalogue

from lab import git_server


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a server of the repository app.git, without TLS: its files are a page and a picture in Git LFS."""
    app = tmp_path / "app"
    app.mkdir()
    catalogue.run(app, "git", "init", "--quiet", "--initial-branch=main")
    catalogue.run(app, "git", "lfs", "install", "--local")
    (app / ".gitattributes").write_text("*.jpg filter=lfs diff=lfs merge=lfs -text\n")
    (app / "picture.jpg").write_bytes(catalogue.PICTURE)
    catalogue.commit(app, "Add a picture")
    root = tmp_path / "git"
    root.mkdir()
    catalogue.run(root, "git", "clone", "--quiet", "--bare", str(app), "app.git")
    (root / "app.git/lfs").mkdir()
    (app / ".git/lfs/objects").rename(root / "app.git/lfs/objects")
    monkeypatch.setattr(git_server, "ROOT", root)

    class Plain(git_server.Handler):
        scheme = "http"

    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def clone(url: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Clone a repository with its files in Git LFS."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "filter.lfs.process",
        "GIT_CONFIG_VALUE_0": "git-lfs filter-process",
        "GIT_CONFIG_KEY_1": "filter.lfs.required",
        "GIT_CONFIG_VALUE_1": "true",
        **variables,
    }
    command = ["git", "clone", "--quiet", url, str(directory)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_clone_has_the_content_of_files_in_git_lfs(address: str, tmp_path: Path) -> None:
    done = clone(f"{address}/app.git", tmp_path / "clone")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone/picture.jpg").read_bytes() == catalogue.PICTURE


def test_a_missing_object_and_a_missing_repository_are_errors(address: str, tmp_path: Path) -> None:
    for file in (git_server.ROOT / "app.git/lfs/objects").rglob("*/*/*"):
        file.unlink()
    assert "The object does not exist" in clone(f"{address}/app.git", tmp_path / "clone").stderr
    assert "not found" in clone(f"{address}/other.git", tmp_path / "other").stderr


def test_a_repository_with_a_token_is_read_with_it_only(address: str, tmp_path: Path) -> None:
    git_server.token_file("app").write_text("deploy:t0ken\n")
    assert "could not read Username" in clone(f"{address}/app.git", tmp_path / "without").stderr
    url = f"{address.replace('//', '//deploy:wrong@')}/app.git"
    assert "Authentication failed" in clone(url, tmp_path / "wrong").stderr
    url = f"{address.replace('//', '//deploy:t0ken@')}/app.git"
    done = clone(url, tmp_path / "clone")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone/picture.jpg").read_bytes() == catalogue.PICTURE


def test_nothing_is_written_and_nothing_outside_is_read(address: str, tmp_path: Path) -> None:
    assert clone(f"{address}/app.git", tmp_path / "clone").returncode == 0
    pushed = subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", "push", "origin", "main:other"],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "403" in pushed.stderr
    assert clone(f"{address}/../app.git", tmp_path / "outside").returncode != 0
