"""A bad release is refused with its cause, and the previous one stays live all the time (see `undisturbed`).

One of each kind: the other failures of a build are in molecule/python_app, those of a switch in tests/test_release_switch.py,
and an unhealthy release is in test_no_failed_request.py.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from conftest import Change, Visits, record_refusal
from support.hosts import live, on_host, releases, shown, units
from support.plays import deploy, kill_during

from lab.layout import REPOSITORY
from lab.repositories import APP, DEPLOYED, publish, remove_branch

VERSIONS = REPOSITORY / "app" / "migrations" / "versions"

RUN = """\
import os, signal, sys, threading, time
from flask import Flask, redirect, request
from myflaskapp import create_app
"""
GOOD = "app = create_app()\n"
QUICK = ("-e", "gunicorn_monitor_seconds=3", "-e", "gunicorn_readiness_delay=1")
NO_SET_UP = ("-e", '{"app_setup_commands": []}')
MIGRATION = f"""\
revision = "9999"
down_revision = "{max(path.name for path in VERSIONS.glob("[0-9]*.py"))[:4]}"

def upgrade():
    raise RuntimeError("the table of prices is in use")
"""


def after(seconds: int, then: str) -> str:
    """An entry point whose workers execute `then` some seconds after their start."""
    return (
        f"{RUN}{GOOD}def fail():\n    time.sleep({seconds})\n{then}threading.Thread(target=fail, daemon=True).start()\n"
    )


def once_live(then: str) -> str:
    """An entry point whose workers execute `then` one second after their release went live."""
    wait = (
        "    own = os.path.basename(os.path.dirname(os.getcwd()))\n"
        '    while os.path.basename(os.readlink("/srv/listings/live")) != own:\n        time.sleep(0.1)\n'
    )
    return (
        f"{RUN}{GOOD}def fail():\n{wait}    time.sleep(1)\n{then}threading.Thread(target=fail, daemon=True).start()\n"
    )


def before_requests(then: str) -> str:
    """An entry point that executes `then` before each request."""
    return f"{RUN}{GOOD}@app.before_request\ndef answer():\n{then}"


@dataclass(frozen=True)
class Bad:
    """A bad release: the files that differ from the good one, options of the run, and what the message has to contain."""

    name: str
    messages: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = NO_SET_UP
    built: bool = True
    served: bool = False


def bad_entry(name: str, entry: str, *messages: str, options: tuple[str, ...] = (), served: bool = False) -> Bad:
    """A release with a bad run.py."""
    return Bad(name, messages, (("app/run.py", entry),), (*NO_SET_UP, *options), served=served)


BAD = [
    bad_entry(
        "does not start",
        f'{RUN}raise RuntimeError("no shelf for the books")\n',
        "the release exited each time that it was started",
        "no shelf for the books",
    ),
    bad_entry(
        "dies while it is live",
        once_live('    print("out of ink", flush=True)\n    os.kill(os.getppid(), signal.SIGKILL)\n'),
        "the release exited while it was live",
        "out of ink",
        "was rolled back after",
        served=True,
    ),
    bad_entry(
        "leaks",
        after(
            5,
            '    print("more and more", flush=True)\n    hoard = bytearray(50_000_000)\n'
            "    os.kill(os.getpid(), signal.SIGKILL)\n",
        ),
        "a worker of the release died during its readiness delay",
        "SIGKILL",
        "more and more",
    ),
    Bad(
        "migration fails",
        ("The command 'flask --app run db upgrade' failed (exit code 1)", "the table of prices is in use"),
        (("app/migrations/versions/9999_prices.py", MIGRATION),),
        ("-e", '{"app_setup_commands": ["flask --app run db upgrade"]}'),
    ),
]


@pytest.fixture(scope="module", autouse=True)
def restore_the_release() -> Iterator[None]:
    """The release of the settings is live before and after the tests of this file."""
    assert shown() is None
    yield
    deploy(DEPLOYED, *QUICK).passed()


@pytest.fixture
def branch() -> Iterator[str]:
    """A branch of the app's repository for commits."""
    name = "refused"
    publish(APP, name, {}, DEPLOYED, "Change nothing")
    yield name
    remove_branch(APP, name)


def refuse(name: str, ref: str, options: tuple[str, ...], visits: Visits, built: bool) -> str:
    """Deploy a release that is refused; return the messages, after checking that nothing of it remains and the previous release is live."""
    before, directories, began = live(), releases(), time.monotonic()
    played = deploy(ref, *options).refused()
    record_refusal(name, played, time.monotonic() - began, visits)
    assert live() == before
    assert units() == {f"listings@{before}.service"}
    assert on_host("test -e /srv/listings/deploy.lock || echo free") == "free"
    if not built:
        # Old releases may have been pruned.
        assert releases() <= directories
    return "\n".join(played.messages)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_release_is_refused(visits: Visits, branch: str, bad: Bad) -> None:
    """A live release that dies loses the requests in progress: no more than those of 3 seconds.

    `leaks` sends itself the signal that the kernel sends to a worker that uses too much memory, because a lab host can't limit memory.
    """
    publish(APP, branch, dict(bad.files), DEPLOYED, f"Bad release: {bad.name}")
    messages = refuse(bad.name, branch, bad.options, visits, bad.built)
    assert [message for message in bad.messages if message not in messages] == [], messages
    # It would replace the release that is live, which is good.
    assert "rollback.yml" not in messages
    assert len(visits.failed) <= (15 if bad.served else 0), visits.failed


def test_errors_in_the_traffic_roll_a_release_back(visits: Visits, branch: str) -> None:
    """Healthy, but with errors in its traffic: some requests fail before it is rolled back, for less than 5 seconds."""
    entry = before_requests(
        '    if request.path.startswith("/api/"):\n        print("no stamps", flush=True)\n        return "", 500\n'
    )
    publish(APP, branch, {"app/run.py": entry}, "lab", "Return errors")
    messages = refuse("errors for visitors", branch, NO_SET_UP, visits, True)
    assert re.search(r"\d+ of \d+ responses were errors \(\d+ %\); the baseline is \d+ %", messages)
    assert "was rolled back after" in messages
    assert "no stamps" in messages
    assert 3 <= len(visits.failed) <= 25
    # Only while it was live: the last responses are good again.
    failed = len(visits.failed)
    time.sleep(2)
    assert len(visits.failed) == failed


def test_a_full_disk_is_reported(undisturbed: Visits, branch: str) -> None:
    """The build's directory is on a real file system of 1 MB."""
    publish(APP, branch, {"app/requirements.txt": "flask\ngunicorn\n"}, "lab", "Change the requirements")
    with mounted("/var/cache/outport-build", "size=1m"):
        messages = refuse("disk full", branch, NO_SET_UP, undisturbed, False)
    assert "was not built. The disk is full: /var/cache/outport-build has 0 MB left." in messages
    assert "Free space on /var/cache/outport-build" in messages


def test_a_deploy_lock_of_another_run_is_respected(
    undisturbed: Visits, branch: str, request: pytest.FixtureRequest
) -> None:
    held = {"user": "ops", "machine": "desk-1", "process": 77, "purpose": "deploy of main", "since": time.time() - 300}
    lock = "/srv/listings/deploy.lock"
    on_host(f"sudo tee {lock} >/dev/null <<'END'\n{json.dumps(held)}\nEND")
    request.addfinalizer(lambda: on_host(f"sudo rm -f {lock}"))
    before, began = live(), time.monotonic()
    played = deploy(branch).refused()
    record_refusal("lock of another run", played, time.monotonic() - began, undisturbed)
    messages = played.messages[0]
    assert "Another run holds the deploy lock: deploy of main by ops@desk-1, since 5 min." in messages
    assert "run this again with -e break_lock=true" in messages
    # The lock is unchanged.
    assert json.loads(on_host(f"cat {lock}")) == held
    assert live() == before
    played = deploy(branch, "-e", "break_lock=true", *QUICK).passed()
    assert on_host(f"test -e {lock} || echo free") == "free"


def test_a_killed_run_is_completed_by_the_next(undisturbed: Visits, change: Change) -> None:
    """Killed once during each of these tasks, so many seconds after its start; each run continues where the one before was killed."""
    for task, seconds in (
        ("python_app : Fetch the app at", 0.3),
        ("python_app : Build release", 0.5),
        ("python_app : Run the set-up commands", 1),
        ("gunicorn : Run the health checks and switch", 5),
    ):
        kill_during(rf"TASK \[{re.escape(task)}", seconds, "playbooks/deploy.yml", "-e", f"ref={change.ref}")
        assert on_host("test -e /srv/listings/deploy.lock && echo held") == "held"
    deploy(change.ref, *QUICK).passed()
    assert shown("web-1") == change.mark
    assert units() == {f"listings@{live()}.service"}
    assert on_host("test -e /srv/listings/deploy.lock || echo free") == "free"


@contextmanager
def mounted(directory: str, size: str) -> Iterator[None]:
    """A small file system over a directory of the host, with the directory's owner."""
    owner = on_host(f"stat --format=uid=%u,gid=%g,mode=0%a {directory}")
    on_host(f"sudo mount -t tmpfs -o {size},{owner} tmpfs {directory}")
    try:
        yield
    finally:
        on_host(f"sudo umount {directory}")
