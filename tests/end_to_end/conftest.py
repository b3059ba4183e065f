"""The lab with the whole stack up, as `bin/lab up` leaves it."""

import json
import re
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import takewhile

import pytest
import yaml

from lab import operations
from lab.bench import HEADER, publish_change, remove_branch
from lab.layout import REPOSITORY, SITE_CA, STATE
from lab.load import Result
from lab.visitor import Visitor

Played = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def play() -> Callable[..., Played]:
    """Runs ansible-playbook in the lab as a person does; keeps its output and exit code."""

    def run(*arguments: str) -> Played:
        command = [str(REPOSITORY / "bin/lab"), "play", *arguments]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
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


@dataclass
class Visits:
    """Visits of the app through the proxy, and the ones among them that were not answered with 200."""

    asked: int = 0
    disturbed: list[str] = field(default_factory=list)


@pytest.fixture
def visits(site: Visitor) -> Iterator[Visits]:
    """Asks the site every 0.2 s while the test runs, and counts."""
    found, over = Visits(), threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            found.asked += 1
            try:
                answer = site.get("/api/v1/listings")
            except (OSError, HTTPException) as error:
                found.disturbed.append(f"{type(error).__name__}: {error}")
                continue
            if answer.status != 200:
                found.disturbed.append(f"{answer.status} {answer.body[:80].decode(errors='replace')}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.fixture
def undisturbed(visits: Visits) -> Iterator[Visits]:
    """Visits that are all answered with 200: before, while and after the test does what it does."""
    yield visits
    assert visits.asked > 0
    assert visits.disturbed == []


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


@dataclass(frozen=True)
class Change:
    """A branch whose app says `mark` in the header of its answers."""

    ref: str
    mark: str


@pytest.fixture
def change() -> Iterator[Change]:
    """A branch of the app's repository with a change that a visitor can see."""
    mark = uuid.uuid4().hex[:8]
    publish_change(f"change-{mark}", mark)
    yield Change(f"change-{mark}", mark)
    remove_branch(f"change-{mark}")


def shown(host: str) -> str | None:
    """The mark of the change that a host's app shows to a visitor; None for what the settings deploy."""
    return visitor_of(host).get("/healthz").headers.get(HEADER.lower())


def visitor_of(host: str) -> Visitor:
    """A visitor of the site who reaches this host, whichever else the name leads to."""
    return Visitor(str(operations.settings()["site_domain"]), operations.find_host(host).public, SITE_CA)


@pytest.fixture(scope="session")
def deploy(play: Callable[..., Played]) -> Callable[..., Played]:
    """Deploys a ref, with further options of ansible-playbook."""
    return lambda ref, *options: play("playbooks/deploy.yml", "-e", f"ref={ref}", *options)


@pytest.fixture(scope="session")
def rollback(play: Callable[..., Played]) -> Callable[..., Played]:
    """Goes back to the previous release."""
    return lambda *options: play("playbooks/rollback.yml", *options)


REFUSALS: dict[str, dict[str, object]] = {}


def note_refusal(name: str, played: Played, seconds: float, visits: Visits) -> None:
    """Keep how a release was refused, in .cache/test/refusals.json and for the table at the end."""
    REFUSALS[name] = {
        # The last one says how things stand.
        "message": messages(played)[-2].splitlines()[0],
        "seconds": round(seconds, 1),
        "visits": visits.asked,
        "disturbed": len(visits.disturbed),
    }
    file = REPOSITORY / ".cache/test/refusals.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(REFUSALS, indent=1) + "\n")


def messages(played: Played) -> list[str]:
    """What the tasks that failed said, in order."""
    found = []
    for part in re.split(r"^fatal: .*=> ?$", played.stdout, flags=re.MULTILINE)[1:]:
        result = "\n".join(takewhile(lambda line: not line or line.startswith("    "), part.splitlines()[1:]))
        found.append(str(yaml.safe_load(result)["msg"]))
    return found


LOADS: dict[str, Result] = {}


def quote(name: str, result: Result) -> None:
    """Keep what came of a load, in .cache/test/load.json and for the table at the end."""
    LOADS[name] = result
    file = REPOSITORY / ".cache/test/load.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | {name: result.summary()}, indent=1) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of each load, and how each bad release was refused."""
    if REFUSALS:
        terminalreporter.section("releases that are refused")
    for name, refusal in REFUSALS.items():
        terminalreporter.write_line(
            f"{name} ({refusal['seconds']} s, {refusal['disturbed']} of {refusal['visits']} visits disturbed): {refusal['message']}"
        )
    if LOADS:
        terminalreporter.section("requests while things change")
    for name, result in LOADS.items():
        terminalreporter.write_line(
            f"{name}: {result.failed} of {result.total} failed, {result.retried} sent again, "
            f"99 of 100 within {result.within(0.99):.0f} ms, slowest {result.slowest.ms:.0f} ms ({result.slowest.kind})"
        )
