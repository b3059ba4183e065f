"""Two hosts share the name: while one of them changes or is down, the other one responds."""

import subprocess
import time

import pytest
from conftest import Change
from support import loads
from support.hosts import live, on_host, serves, shown
from support.plays import deploy, rollback

from lab import aws, operations
from lab.layout import AWS_PORT, REPOSITORY
from lab.load import Load, plan_for_site
from lab.repositories import APP, DEPLOYED, publish, remove_branch

HOSTS = ("web-1", "web-2")

# A process that runs on one host only.
CLOCK = ("-e", '{"app_single_processes": {"clock": "sleep infinity"}}')


@pytest.fixture(scope="module", autouse=True)
def two_hosts() -> None:
    """Bring up the second host unless it is there; it remains afterwards, as does the last release."""
    if len(plan_for_site().addresses) < len(HOSTS):
        subprocess.run([REPOSITORY / "bin/lab", "up", "--hosts", "2"], cwd=REPOSITORY, timeout=1800, check=True)
    assert len(plan_for_site().addresses) == len(HOSTS)


def test_no_request_fails_during_a_rolling_deploy(change: Change) -> None:
    with Load(loads.plan()) as load:
        deploy(change.ref, *CLOCK).passed()
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


def test_exactly_one_host_runs_single_processes_and_timers() -> None:
    """Not the first one of the inventory: a host that comes back leaves them to the one that has taken over."""
    wait_for_primary({*HOSTS}, 60)
    (former,) = primary()
    (other,) = {*HOSTS} - {former}
    assert {host: run_timer(host) for host in HOSTS} == {former: "yes", other: "no"}
    on_host("sudo systemctl stop outport-lease", former)
    try:
        # Much earlier than the lease would expire.
        wait_for_primary({other}, 60)
    finally:
        on_host("sudo systemctl start outport-lease", former)
    assert primary() == [other]
    assert {host: run_timer(host) for host in HOSTS} == {former: "no", other: "yes"}


@pytest.mark.parametrize(("broken", "switched"), [("web-1", []), ("web-2", ["web-1"])])
def test_the_first_failure_stops_the_deploy(broken: str, switched: list[str]) -> None:
    """The first host switches first: when it fails, the second is untouched; when the second fails, the first keeps the new release."""
    name = on_host("hostname", broken)
    last = f'import socket\nif socket.gethostname() == "{name}":\n    raise RuntimeError("not on this host")\n'
    entry = on_host("cat /srv/listings/live/app/run.py")
    publish(APP, "half", {"app/run.py": f"{entry}\n{last}"}, onto=DEPLOYED)
    before, single = {host: live(host) for host in HOSTS}, primary()
    try:
        # Without set-up commands, which would already fail on the first host.
        played = deploy(
            "half",
            *CLOCK,
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
    assert primary() == single
    if switched:
        assert "already: listings-lab-web-1." in reported
        assert "rollback.yml" in reported
    else:
        assert "Untouched hosts: listings-lab-web-2." in reported
    if switched:
        # As the message suggests: roll back all hosts.
        rollback("-e", "gunicorn_monitor_seconds=2").passed()
        assert {host: live(host) for host in HOSTS} == before
        assert primary() == single


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


@pytest.mark.soak
def test_an_instance_that_stops_hands_over_at_once() -> None:
    (former,) = primary()
    (other,) = {*HOSTS} - {former}
    ec2 = aws.client("ec2")
    instance, before = on_host("sudo grep -o 'i-[0-9a-f]*' /etc/outport-lease.json", former), booted(former)
    ec2.stop_instances(InstanceIds=[instance])
    try:
        wait_for_primary({other}, 60)
    finally:
        stopped = {"Delay": 1, "MaxAttempts": 90}
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig=stopped)
        ec2.start_instances(InstanceIds=[instance])
    wait_until_back(former, before)
    assert primary() == [other]


@pytest.mark.soak
def test_a_host_without_a_network_stops_its_single_processes_before_another_one_starts_them() -> None:
    (former,) = primary()
    (other,) = {*HOSTS} - {former}
    # By number, as the host may have no names of protocols.
    unreachable = f"ipproto 6 dport {AWS_PORT} blackhole"
    on_host(f"sudo ip rule add {unreachable}", former)
    try:
        wait_for_primary({other}, 240)
    finally:
        on_host(f"sudo ip rule delete {unreachable}", former)
    time.sleep(30)
    assert primary() == [other]


def primary() -> list[str]:
    """Return the hosts that run the process of which there is one."""
    listed = "systemctl list-units --plain --no-legend --state=active,deactivating 'listings-clock@*'"
    return [host for host in HOSTS if output_of(host, listed)]


def wait_for_primary(hosts: set[str], seconds: float) -> None:
    """Wait until one of these hosts runs that process; two of them run it at no time."""
    deadline = time.monotonic() + seconds
    found = primary()
    while not (found and {*found} <= hosts) and time.monotonic() < deadline:
        assert len(found) <= 1, found
        time.sleep(1)
        found = primary()
    assert len(found) == 1, found
    assert {*found} <= hosts


def run_timer(host: str) -> str:
    """Start the service of a timer, as the timer does; return whether it ran on this host."""
    return on_host(
        "sudo systemctl start listings-clean.service && systemctl show --property=ConditionResult --value listings-clean.service",
        host,
    )
