"""Two hosts share the name: while one of them changes or is down, the other one responds."""

import subprocess
import time

import pytest
from conftest import Change
from support import loads
from support.hosts import live, on_host, serves, shown
from support.plays import deploy, rollback

from lab import operations
from lab.layout import REPOSITORY
from lab.load import Load, plan_for_site
from lab.repositories import APP, DEPLOYED, publish, remove_branch

HOSTS = ("web-1", "web-2")


@pytest.fixture(scope="module", autouse=True)
def two_hosts() -> None:
    """Bring up the second host, which remains afterwards, as does the last release."""
    subprocess.run([REPOSITORY / "bin/lab", "up", "--hosts", "2"], cwd=REPOSITORY, timeout=1800, check=True)
    assert len(plan_for_site().addresses) == len(HOSTS)


def test_no_request_fails_during_a_rolling_deploy(change: Change) -> None:
    with Load(loads.plan()) as load:
        deploy(change.ref).passed()
    loads.record("rolling deploy to two hosts", load.result)
    assert [shown(host) for host in HOSTS] == [change.mark] * len(HOSTS)
    assert load.result.failed == 0, str(load.result)


def test_no_request_fails_while_the_second_host_reboots() -> None:
    with Load(loads.plan()) as load:
        before = booted("web-2")
        # The connection is closed by the reboot, so the exit status is meaningless.
        output_of("web-2", "sudo systemctl reboot")
        wait_until_back("web-2", before)
        # Load on both hosts after the reboot.
        time.sleep(5)
    loads.record("reboot of one of two hosts", load.result)
    assert load.result.failed == 0, str(load.result)


@pytest.mark.parametrize(("broken", "switched"), [("web-1", []), ("web-2", ["web-1"])])
def test_the_first_failure_stops_the_deploy(broken: str, switched: list[str]) -> None:
    """The first host switches first: when it fails, the second is untouched; when the second fails, the first keeps the new release."""
    name = on_host("hostname", broken)
    last = f'import socket\nif socket.gethostname() == "{name}":\n    raise RuntimeError("not on this host")\n'
    entry = on_host("cat /srv/listings/live/app/run.py")
    publish(APP, "half", {"app/run.py": f"{entry}\n{last}"}, onto=DEPLOYED)
    before = {host: live(host) for host in HOSTS}
    try:
        # Without set-up commands, which would already fail on the first host.
        played = deploy(
            "half",
            "-e",
            '{"app_setup_commands": []}',
            "-e",
            "gunicorn_monitor_seconds=2",
            "-e",
            "gunicorn_readiness_delay=1",
        )
    finally:
        remove_branch(APP, "half")
    reported = played.text
    played.refused()
    assert "RuntimeError: not on this host" in reported
    assert [host for host in HOSTS if live(host) != before[host]] == switched
    assert all(serves(host) for host in HOSTS)
    if switched:
        assert "already: listings-lab-web-1." in reported
        assert "rollback.yml" in reported
    else:
        assert "Untouched hosts: listings-lab-web-2." in reported
    if switched:
        # As the message suggests: roll back all hosts.
        rollback("-e", "gunicorn_monitor_seconds=2").passed()
        assert {host: live(host) for host in HOSTS} == before


def output_of(host: str, command: str) -> str:
    """Return the output of a command on a host; empty when it can't be reached."""
    argv = [*operations.ssh_command(operations.find_host(host)), command]
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
    except subprocess.TimeoutExpired:
        return ""


def booted(host: str) -> str:
    """Return the start time of a host's systemd; empty when it can't be reached."""
    return output_of(host, "systemctl show --property=UserspaceTimestamp --value")


def wait_until_back(host: str, before: str) -> None:
    """Wait until a host that was started at `before` has rebooted and responds."""
    deadline = time.monotonic() + 120
    found = ""
    while time.monotonic() < deadline:
        found = booted(host)
        if found and found != before and serves(host):
            return
        time.sleep(0.5)
    pytest.fail(f"{host} is not ready 120 seconds after its reboot; its last start: {found or 'unknown'}")
