"""The decisions of a switch with a bad release: which release is live in the end, what runs, and the message.

The host is a fake with its own clock; real releases are tested in tests/end_to_end/test_refused_releases.py.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.release import switch
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.health import Health
from ansible.module_utils.release.systemd import State

OLD, NEW = "1111-old", "2222-new"
OPTIONS = {
    "name": "shop",
    "release": NEW,
    "health_path": "/healthz",
    "health_host": "localhost",
    "health_body": "",
    "health_timeout": 60,
    "readiness_delay": 6,
    "monitor_seconds": 5,
    "drain_seconds": 30,
    "monitor_max_errors": 5,
    "monitor_max_slowdown": 4,
    "action": "deploy",
    "by": "ops",
    "schema": "7",
}


def entry(now: float, status: int, seconds: float) -> dict[str, Any]:
    """A line of the proxy's log."""
    return {"at": now, "status": status, "seconds": seconds, "app_status": str(status)}


class Host:
    """A host with two releases, the old one live; `now` is its clock, in seconds since the switch began."""

    def __init__(self, directory: Path) -> None:
        self.now = 0.0
        self.directory = directory
        self.active = {f"shop@{OLD}.service"}
        # Whether the last stop waited until the service had completed its requests.
        self.waited = False
        # The behaviour of the new release over time.
        self.exits_at = self.worker_dies_at = float("inf")
        self.restarts = 0
        self.health: Callable[[float], str | None] = lambda _: None
        self.traffic: Callable[[float], list[dict[str, Any]]] = lambda _: []
        self.messages = ["out of paper"]
        for release in (OLD, NEW):
            (directory / "releases" / release / "run").mkdir(parents=True)
        (directory / "live").symlink_to(f"releases/{OLD}")
        (directory / "access.log").write_text("".join(f"{json.dumps(entry(-1, 200, 0.1))}\n" for _ in range(30)))

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds
        with (self.directory / "access.log").open("a") as log:
            log.writelines(json.dumps(entry) + "\n" for entry in self.traffic(self.now))

    def listed(self, *patterns: str) -> list[str]:
        """The loaded units that match."""
        return sorted(unit for unit in self.active if any(fnmatch(unit, pattern) for pattern in patterns))

    @property
    def live(self) -> str:
        """The release that the link points to."""
        return (self.directory / "live").resolve().name

    @property
    def history(self) -> list[dict[str, Any]]:
        """The history of the host."""
        return [json.loads(line) for line in (self.directory / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The fake host, which replaces systemd, the journal and the clock."""
    found = Host(tmp_path)

    def state_of(unit: str) -> State:
        new = NEW in unit
        exited = new and found.now >= found.exits_at
        active = unit in found.active and not exited
        return State("active" if active else "inactive", "signal" if exited else "success", 1, found.restarts * new)

    class WebService(switch.WebService):
        def state(self) -> State:
            return state_of(self.service)

        def start(self) -> None:
            found.active.add(self.service)

        def stop(self, at_once: bool = False, wait: bool = True) -> None:
            found.active.discard(self.service)
            found.waited = wait

        def log(self) -> list[str]:
            died = "[1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"
            return [*found.messages, *([died] if found.now >= found.worker_dies_at else [])]

    clock = type("Clock", (), {"time": lambda: found.now, "monotonic": lambda: found.now, "sleep": found.sleep})
    monkeypatch.setattr(switch, "time", clock)
    monkeypatch.setattr(switch, "WebService", WebService)
    monkeypatch.setattr(switch, "state_of", state_of)
    monkeypatch.setattr(switch, "listed", found.listed)
    monkeypatch.setattr(switch.Health, "probe", lambda *_: found.health(found.now))
    return found


def run(host: Host, **options: Any) -> Any:
    """Switch the host to the new release."""
    places = {"root": str(host.directory), "access_log": str(host.directory / "access.log")}
    found = switch.Switch({**OPTIONS, **places, **options}, {})
    found.run()
    return found


def refused(host: Host, **options: Any) -> str:
    """Switch to a bad release, check that only the old one is live in the end, and return the message."""
    with pytest.raises(ReleaseError) as error:
        run(host, **options)
    assert host.live == OLD
    assert host.active == {f"shop@{OLD}.service"}
    assert not (host.directory / "releases" / NEW / ".proved").exists()
    (entry,) = host.history
    assert (entry["outcome"], entry["from"], entry["to"], entry["by"]) == ("refused", OLD, NEW, "ops")
    assert "out of paper" in str(error.value)
    return str(error.value)


def test_a_good_release_replaces_the_live_one(host: Host) -> None:
    found = run(host)
    assert (host.live, host.active) == (NEW, {f"shop@{NEW}.service"})
    assert (host.directory / "previous").resolve().name == OLD
    assert (host.directory / "releases" / NEW / "schema").read_text() == "7"
    assert found.phases["ready"] == pytest.approx(6, abs=0.5)
    assert host.history[0]["outcome"] == "done"


def test_a_switch_does_not_wait_for_the_long_requests_of_the_former_release(host: Host) -> None:
    run(host)
    assert not host.waited


def test_a_refused_release_is_stopped_before_the_switch_ends(host: Host) -> None:
    host.exits_at = 9
    refused(host)
    assert host.waited


def test_a_release_that_completes_its_requests_is_none_to_stop(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run changes nothing meanwhile."""
    found = run(host)
    former = f"shop@{OLD}.service"
    both = [former, f"shop@{OLD}.socket"]
    host.active.update(both)
    assert found.others() == both
    inner = switch.state_of
    ending = State("deactivating", "success", 1, 0)
    monkeypatch.setattr(switch, "state_of", lambda unit: ending if unit == former else inner(unit))
    assert found.others() == []
    assert switch.Switch(found.options | {"root": str(host.directory)}, {}).is_done()


def test_a_verified_release_skips_the_readiness_delay(host: Host) -> None:
    (host.directory / "releases" / NEW / ".proved").touch()
    assert run(host).phases["ready"] == 0


def test_one_that_does_not_start_is_refused(host: Host) -> None:
    host.restarts, host.health = 2, lambda _: "no response: [Errno 2]"
    messages = refused(host)
    assert "the release exited each time that it was started" in messages
    assert f"It got no traffic; release {OLD} is live." in messages


def test_one_that_exits_during_its_readiness_delay_is_refused(host: Host) -> None:
    host.exits_at = 5
    messages = refused(host)
    assert "the release exited during its readiness delay (signal)" in messages
    assert "It got no traffic" in messages


def test_one_that_exits_while_it_is_live_is_rolled_back(host: Host) -> None:
    host.exits_at = 9
    messages = refused(host)
    assert "the release exited while it was live (signal)" in messages
    assert "It was rolled back after 9 s" in messages


def test_one_that_exits_during_the_last_health_check_is_rolled_back(host: Host) -> None:
    """systemd starts it again meanwhile, and the check gets its response then."""

    def check(now: float) -> None:
        if now > 10:
            host.exits_at = now
            host.now += 3

    host.health = check
    assert "the release exited while it was live (signal)" in refused(host)


@pytest.mark.parametrize(("at", "when"), [(3, "during its readiness delay"), (8, "while it was live")])
def test_a_release_whose_worker_dies_is_refused(host: Host, at: float, when: str) -> None:
    host.worker_dies_at = at
    assert f"a worker of the release died {when}; gunicorn logged 'Worker (pid:7) was sent SIGKILL" in refused(host)


def test_one_that_responds_too_late_is_refused(host: Host) -> None:
    host.health = lambda now: "no response within 4 seconds" if now < 60 else None
    assert "expected 200 from /healthz within 8 seconds, found no response." in refused(host, health_timeout=8)


@pytest.mark.parametrize("response", ["404 NOT FOUND", "401 UNAUTHORIZED", "302 FOUND, a redirect to /login"])
def test_a_wrong_path_is_refused_at_its_first_response(host: Host, response: str) -> None:
    host.health = lambda now: "no response" if now < 10 else response
    assert f"expected 200 from /healthz, found {response}; app_health_path sets the path" in refused(host)
    assert host.now < 11


def test_one_that_is_not_ready_yet_gets_its_time(host: Host) -> None:
    host.health = lambda now: "503 SERVICE UNAVAILABLE" if now < 50 else None
    run(host)
    assert host.live == NEW


def test_one_that_becomes_unhealthy_is_refused(host: Host) -> None:
    host.health = lambda now: None if now < 2 else "500 INTERNAL SERVER ERROR with the body 'no ink left'"
    messages = refused(host)
    assert "expected 200 from /healthz during its readiness delay, found 500" in messages
    assert "no ink left" in messages


def test_a_short_failure_of_the_health_check_is_tolerated(host: Host) -> None:
    host.health = lambda now: "500 INTERNAL SERVER ERROR" if 2 <= now < 2.5 else None
    run(host)
    assert host.live == NEW


def test_one_that_returns_errors_is_rolled_back(host: Host) -> None:
    host.traffic = lambda now: [entry(now, 500 if now > 5.9 else 200, 0)] * 2
    assert "responses were errors (100 %); the baseline is 0 %" in refused(host)


def test_one_that_is_much_slower_is_rolled_back(host: Host) -> None:
    host.traffic = lambda now: [entry(now, 200, 2 if now > 8 else 0.1)] * 5
    assert "the median response time was 2.00 s" in refused(host)


def test_one_that_is_slow_for_a_moment_remains(host: Host) -> None:
    """It was cold, or the host busy with something else: the monitoring goes on until its speed is known."""
    host.traffic = lambda now: [entry(now, 200, 2 if now < 16 else 0.1)] * 5
    assert run(host).phases["monitor"] > 2 * OPTIONS["monitor_seconds"]
    assert host.live == NEW


def test_the_first_release_cannot_be_rolled_back(host: Host) -> None:
    (host.directory / "live").unlink()
    host.active.clear()
    host.exits_at = 9
    with pytest.raises(ReleaseError, match="There is no other release to roll back to"):
        run(host)


# The health check itself, on a real socket.


@contextmanager
def server_on(
    path: Path, status: int, body: str = "", headers: dict[str, str] | None = None, wait: float = 0
) -> Iterator[str]:
    """Run a server on a Unix socket and yield the socket's path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(wait)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(f"{body} {self.headers['Host']} {self.headers['X-Forwarded-Proto']}".encode())

        def log_message(self, *_: object) -> None:
            return

        def address_string(self) -> str:
            return ""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield str(path)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("response", "pattern", "found"),
    [
        ({"status": 200}, "", None),
        ({"status": 200, "body": "fine"}, "^fine shop.lab.test https$", None),
        ({"status": 200, "body": "fine"}, "ready", "200 OK with the body 'fine shop.lab.test https'"),
        ({"status": 500, "body": "no ink left"}, "", "500 Internal Server Error with the body 'no ink left"),
        (
            {"status": 302, "headers": {"Location": "https://elsewhere.lab.test/"}},
            "",
            "302 Found, a redirect to https://elsewhere.lab.test/. Choose a health path without a redirect",
        ),
        ({"status": 200, "wait": 0.6}, "", "no response within 0 seconds"),
    ],
    ids=["good", "body", "other-body", "error", "redirect", "late"],
)
def test_the_expected_response_is_healthy(
    tmp_path: Path, response: dict[str, Any], pattern: str, found: str | None
) -> None:
    with server_on(tmp_path / "socket", **response) as path:
        messages = Health("/healthz", "shop.lab.test", pattern).probe(path, 0.3)
    assert messages is None if found is None else messages.startswith(found)


def test_a_socket_without_a_listener_is_no_response(tmp_path: Path) -> None:
    assert Health("/", "shop.lab.test", "").probe(str(tmp_path / "socket"), 0.3).startswith("no response: [Errno 2]")
