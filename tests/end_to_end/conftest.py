"""The lab with the whole stack up, as `bin/lab up` leaves it."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from lab import operations
from lab.layout import REPOSITORY, STATE
from lab.visitor import Visitor

Played = subprocess.CompletedProcess[str]


@pytest.fixture
def play() -> Callable[..., Played]:
    """Runs ansible-playbook in the lab as a person does; keeps its output and exit code."""

    def run(*arguments: str) -> Played:
        command = [str(REPOSITORY / "bin/lab"), "play", *arguments]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture
def site() -> Iterator[Visitor]:
    """The site, which serves before a test and has to serve after it."""
    visitor = operations.visitor()
    assert visitor.get("/").status == 200
    yield visitor
    assert visitor.get("/").status == 200
    assert visitor.get("/api/v1/listings").status == 200


@pytest.fixture
def new_commit() -> Iterator[str]:
    """A branch of the app's repository with a commit of its own and the same content."""
    bare = STATE / "git/app.git"

    def git(*arguments: str) -> str:
        author = ["-c", "user.name=Outport lab", "-c", "user.email=lab@lab.test"]
        return subprocess.run(
            ["git", *author, *arguments], cwd=bare, capture_output=True, text=True, check=True
        ).stdout.strip()

    commit = git("commit-tree", "-p", "lab", "-m", "Change nothing", "lab^{tree}")
    git("update-ref", "refs/heads/again", commit)
    yield "again"
    git("update-ref", "-d", "refs/heads/again")
