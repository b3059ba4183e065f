"""Fixtures for the whole stack in the lab, after `bin/lab up`."""

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

import pytest
import testinfra
from support import loads, plays
from support.plays import PlaybookRun
from testinfra.host import Host

from lab import aws, operations
from lab.layout import REPOSITORY, SSH_CONFIG
from lab.repositories import APP, DEPLOYED, publish, publish_change, remove_branch
from lab.visitor import Visitor


@pytest.fixture
def site() -> Iterator[Visitor]:
    """The site, which must respond before and after the test."""
    visitor = operations.visitor()
    assert visitor.get("/").status == 200
    yield visitor
    assert visitor.get("/").status == 200
    assert visitor.get("/api/v1/listings").status == 200


@pytest.fixture(scope="session")
def web() -> Host:
    """The first web host, as root."""
    address = operations.find_host("web-1").private
    return testinfra.get_host(f"ssh://{address}?sudo=true&ssh_config={SSH_CONFIG}&controlpersist=60")


@pytest.fixture(scope="session")
def secret() -> dict[str, Any]:
    """The database credentials in plain text, which only the app and the operator can read."""
    return aws.database_credentials()


@dataclass
class Visits:
    """Requests to the app through the proxy, and the failed ones: those without a 200 response."""

    sent: int = 0
    failed: list[str] = field(default_factory=list)


@pytest.fixture
def visits(site: Visitor) -> Iterator[Visits]:
    """Send a request to the site every 0.2 s during the test, and count the responses."""
    found, done = Visits(), threading.Event()

    def send() -> None:
        while not done.wait(0.2):
            found.sent += 1
            try:
                response = site.get("/api/v1/listings")
            except (OSError, HTTPException) as error:
                found.failed.append(f"{type(error).__name__}: {error}")
                continue
            if response.status != 200:
                found.failed.append(f"{response.status} {response.body[:80].decode(errors='replace')}")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@pytest.fixture
def undisturbed(visits: Visits) -> Iterator[Visits]:
    """Requests that all get a 200 response, before, during and after the test."""
    yield visits
    assert visits.sent > 0
    assert visits.failed == []


@pytest.fixture
def new_commit() -> Iterator[str]:
    """A branch of the app's repository with a new commit of the same content."""
    publish(APP, "again", {}, DEPLOYED, "Change nothing")
    yield "again"
    remove_branch(APP, "again")


@dataclass(frozen=True)
class Change:
    """A branch whose app has `mark` in a header of its responses."""

    ref: str
    mark: str


@pytest.fixture
def change() -> Iterator[Change]:
    """A branch of the app's repository with a visible change."""
    mark = uuid.uuid4().hex[:8]
    publish_change(f"change-{mark}", mark)
    yield Change(f"change-{mark}", mark)
    remove_branch(APP, f"change-{mark}")


REFUSALS: dict[str, dict[str, object]] = {}


def record_refusal(name: str, played: PlaybookRun, seconds: float, visits: Visits) -> None:
    """Record a refusal, in .cache/test/refusals.json and for the summary."""
    REFUSALS[name] = {
        # The last message is the failure report of the play.
        "message": played.messages[-2].splitlines()[0],
        "seconds": round(seconds, 1),
        "visits": visits.sent,
        "failed": len(visits.failed),
    }
    file = REPOSITORY / ".cache/test/refusals.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(REFUSALS, indent=1) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the playbook runs of a failed test."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        report.sections += [("playbook", str(played)) for played in plays.DONE]
    if call.when == "teardown":
        plays.DONE.clear()
    return report  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the result of each load, and each refusal."""
    if REFUSALS:
        terminalreporter.section("refused releases")
    for name, refusal in REFUSALS.items():
        terminalreporter.write_line(
            f"{name} ({refusal['seconds']} s, {refusal['failed']} of {refusal['visits']} requests failed): {refusal['message']}"
        )
    if loads.RESULTS:
        terminalreporter.section("load during changes")
    for name, result in loads.RESULTS.items():
        terminalreporter.write_line(
            f"{name}: {result.failed} of {result.total} failed, {result.retried} retried, "
            f"p99 {result.quantile(0.99):.0f} ms, maximum {result.slowest.ms:.0f} ms ({result.slowest.kind})"
        )
