"""The inputs of the release modules: the proxy's log, the lock, and the history."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.release import deploy_lock, history, listing, traffic
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.lock import locked

ROOT = Path(__file__).parent.parent


def line(at: float, status: int = 200, seconds: float = 0.01, app: bool = True) -> str:
    """Return a line of nginx's log."""
    return json.dumps({"at": at, "status": status, "seconds": seconds, "app_status": str(status) if app else ""}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return an access log of one minute ago."""
    path = tmp_path / "access.log"
    path.write_text("10.0.0.1 - a line in an older format\n" + "".join(line(1000 + n, seconds=0.2) for n in range(10)))
    return path


def test_the_baseline_is_read_from_the_end_of_the_log(log: Path) -> None:
    baseline = traffic.AccessLog(str(log)).since(1005)
    assert (baseline.requests, baseline.failed, baseline.median) == (5, 0, 0.2)


def test_only_requests_that_began_after_the_switch_count(log: Path) -> None:
    access, seen = traffic.AccessLog(str(log)), traffic.Traffic()
    with log.open("a") as file:
        file.write(
            line(1100, status=502, seconds=5) + line(1101, status=500) + line(1102) + line(1103, 200, 1.5, False)
        )
    access.follow(seen, 1099)
    assert (seen.requests, seen.failed, seen.app_requests, seen.app_failed) == (3, 1, 2, 1)
    assert (seen.error_rate, seen.slowest) == (50, 1.5)


def test_slow_first_responses_are_ignored() -> None:
    seen = traffic.Traffic(seconds=[3.0] * 30 + [0.1] * 31)
    assert (seen.late_median, seen.median) == (0.1, 0.1)
    assert traffic.Traffic(seconds=[3.0] * 40 + [0.1] * 30).late_median == 0.1
    assert traffic.Traffic(seconds=[0.1] * 30 + [3.0] * 40).late_median == 3.0


def test_an_incomplete_line_is_read_when_it_is_complete(log: Path) -> None:
    access, seen = traffic.AccessLog(str(log)), traffic.Traffic()
    whole = line(1100)
    for part in (whole[:20], whole[20:]):
        with log.open("a") as file:
            file.write(part)
        access.follow(seen, 1000)
    assert seen.requests == 1


def test_a_rotated_log_is_followed(log: Path) -> None:
    access, seen = traffic.AccessLog(str(log)), traffic.Traffic()
    log.rename(log.with_suffix(".1"))
    log.write_text(line(1100))
    access.follow(seen, 1000)
    assert seen.requests == 1


def test_without_a_log_there_is_no_traffic() -> None:
    access, seen = traffic.AccessLog(""), traffic.Traffic()
    access.follow(seen, 0)
    assert (seen.requests, access.since(0).median, seen.error_rate) == (0, 0, 0)


def test_a_hosts_lock_names_its_holder(tmp_path: Path) -> None:
    app = App("shop", tmp_path)
    with locked(app, "build of 0123"), pytest.raises(ReleaseError) as error, locked(app, "switch to 0123", timeout=0.3):
        pass
    assert re.search(r"releases of shop on this host: build of 0123, process \d+, since", str(error.value))
    assert str(app.host_lock) in str(error.value)
    with locked(app, "switch to 0123", timeout=0.3) as descriptor:
        fcntl.fcntl(descriptor, fcntl.F_GETFD)


HOLDER = {"user": "ops", "machine": "desk", "process": 10, "sessions": [10, 11]}


def test_a_lock_is_acquired_once(tmp_path: Path) -> None:
    path = tmp_path / "deploy.lock"
    assert deploy_lock.take(path, HOLDER)
    assert not deploy_lock.take(path, HOLDER | {"process": 11})
    assert deploy_lock.read(path)["process"] == 10
    assert [file.name for file in tmp_path.iterdir()] == ["deploy.lock"]


@pytest.mark.parametrize(
    ("held", "stale"),
    [
        ({"machine": "desk", "process": 9}, True),
        ({"machine": "desk", "process": 11}, False),
        ({"machine": "other", "process": 9}, False),
    ],
)
def test_only_a_run_of_the_same_machine_can_be_stale(held: dict[str, Any], stale: bool) -> None:
    assert deploy_lock.is_stale(held, HOLDER) is stale


@pytest.mark.parametrize(("seconds", "messages"), [(5, "5 s"), (240, "4 min"), (3 * 3600 + 120, "3 h 2 min")])
def test_a_time_span_is_shown_in_words(seconds: int, messages: str) -> None:
    assert deploy_lock.ago(seconds) == messages


def test_the_session_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("session", ROOT / "plugins/lookup/release_session.py")
    assert spec
    assert spec.loader
    session = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(session)
    monkeypatch.setattr(session.os, "getpid", lambda: 30)
    tree = {1: (0, "init"), 10: (1, "ansible-playbook site.yml"), 20: (10, "ansible-playbook site.yml"), 30: (20, "sh")}
    monkeypatch.setattr(session, "processes", lambda: tree | {40: (1, "ansible-playbook other.yml")})
    (found,) = session.LookupModule().run([])
    assert (found["process"], found["sessions"]) == (10, [10, 20, 40])


def switch(action: str, old: str, new: str, outcome: str = "done") -> dict[str, Any]:
    """Return an entry of the history."""
    return {"action": action, "from": old, "to": new, "outcome": outcome}


DEPLOYED = switch("deploy", "aa-1", "bb-1")
ROLLED_BACK = switch("rollback", "bb-1", "aa-1")


@pytest.mark.parametrize(
    ("switches", "found"),
    [
        ([DEPLOYED], set()),
        ([DEPLOYED, ROLLED_BACK], {"bb-1", "bb"}),
        # Two successive rollbacks: both commits stay rolled back.
        ([DEPLOYED, ROLLED_BACK, switch("rollback", "aa-1", "00-1")], {"bb-1", "bb", "aa-1", "aa"}),
        # Another setting for the live commit, or a fix, does not clear the one that was rolled back.
        ([DEPLOYED, ROLLED_BACK, switch("deploy", "aa-1", "aa-2")], {"bb-1", "bb"}),
        ([DEPLOYED, ROLLED_BACK, switch("deploy", "aa-1", "cc-1")], {"bb-1", "bb"}),
        # It was deployed again, with other settings.
        ([DEPLOYED, ROLLED_BACK, switch("deploy", "aa-1", "bb-2")], set()),
        ([DEPLOYED, ROLLED_BACK, switch("rollback", "aa-1", "bb-1")], {"aa-1", "aa"}),
        # Only the settings were rolled back.
        ([switch("deploy", "aa-1", "aa-2"), switch("rollback", "aa-2", "aa-1")], {"aa-2"}),
        # Only completed switches count.
        ([switch("deploy", "aa-1", "bb-1", "refused")], set()),
        ([DEPLOYED, switch("rollback", "bb-1", "aa-1", "refused")], set()),
        ([DEPLOYED, ROLLED_BACK, switch("deploy", "aa-1", "bb-1", "refused")], {"bb-1", "bb"}),
    ],
)
def test_a_rollback_counts_until_its_commit_is_deployed_again(switches: list[dict[str, Any]], found: set[str]) -> None:
    assert set(history.rolled_back(switches)) == found


def test_the_list_shows_which_release_was_rolled_back_or_refused(tmp_path: Path) -> None:
    for name in ("aa-1", "bb-1", "cc-1", "dd-1", "ee-1", "ff-1", "gg-1"):
        (tmp_path / "releases" / name).mkdir(parents=True)
        if name != "ff-1":
            (tmp_path / "releases" / name / ".built").touch()
    (tmp_path / "releases/dd-1/.proved").touch()
    (tmp_path / "live").symlink_to("releases/aa-1")
    (tmp_path / "previous").symlink_to("releases/ee-1")
    switches = [DEPLOYED, ROLLED_BACK, switch("deploy", "aa-1", "cc-1", "refused")]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in switches))
    assert {one["release"]: one["state"] for one in listing.releases(App("shop", tmp_path))} == {
        "aa-1": "live",
        "bb-1": "rolled back",
        "cc-1": "refused",
        "dd-1": "kept",
        "ee-1": "previous",
        "ff-1": "incomplete",
        "gg-1": "never live",
    }
