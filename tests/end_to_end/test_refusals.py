"""What goes wrong is named with its cause and its mend, and what served before still serves (see the fixture `site`)."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import Played

from lab import operations
from lab.layout import CGROUP, GATEWAY
from lab.visitor import Visitor

Play = Callable[..., Played]


def changed(played: Played) -> list[str]:
    """The tasks that changed something."""
    return [line for line in played.stdout.splitlines() if line.startswith("changed:")]


def test_an_unknown_ref_is_refused(play: Play, site: Visitor) -> None:
    played = play("site.yml", "--extra-vars", "app_ref=no-such-branch")
    assert played.returncode != 0
    assert f"was not fetched from git://{GATEWAY}/app.git at 'no-such-branch'" in played.stdout
    assert "Mend app_ref" in played.stdout
    assert changed(played) == []


def test_a_missing_setting_is_refused_before_the_first_change(play: Play, site: Visitor) -> None:
    played = play("site.yml", "--extra-vars", '{"acme_email": ""}')
    assert played.returncode != 0
    assert "acme_email" in played.stdout
    assert "inventory/lab/group_vars/all.yml" in played.stdout
    assert changed(played) == []


def test_a_name_that_leads_nowhere_gets_no_certificate(play: Play, site: Visitor) -> None:
    """The new name is refused; the old one is still served, with its certificate."""
    played = play("site.yml", "--extra-vars", "site_domain=elsewhere.lab.test")
    assert played.returncode != 0
    assert "No certificate was issued for elsewhere.lab.test" in played.stdout
    assert "Mend: the name must lead to this host" in played.stdout
    assert site.get("/").status == 200
    assert play("site.yml").returncode == 0


def test_a_check_of_a_converged_host_finds_nothing_to_do(play: Play, site: Visitor) -> None:
    played = play("site.yml", "--check", "--diff")
    assert played.returncode == 0, played.stdout[-2000:]
    assert changed(played) == []


def test_provisioning_again_changes_nothing(play: Play, site: Visitor) -> None:
    for options in ((), ("--check", "--diff")):
        played = play("playbooks/provision.yml", *options)
        assert played.returncode == 0, played.stdout[-2000:]
        assert changed(played) == []


def test_a_database_that_does_not_answer_stops_the_release(play: Play, site: Visitor, new_commit: str) -> None:
    serving = release()
    database = operations.status().databases[0].id
    freezer = next(Path("/sys/fs/cgroup").glob(f"**/{CGROUP}/database-{database}/cgroup.freeze"))
    freezer.write_text("1")
    try:
        played = play("site.yml", "--extra-vars", f"app_ref={new_commit}")
        assert site.get("/").status == 200
        assert site.get("/api/v1/listings").status == 503
        assert "https://listings.lab.test/healthz on this host: 200 in " in play("playbooks/releases.yml").stdout
    finally:
        freezer.write_text("0")
    assert played.returncode != 0
    told = " ".join(played.stdout.split())
    assert "The command 'flask --app run db upgrade' failed" in told
    assert "The release got no traffic, and the previous release is still live." in told
    assert "The cause: The command 'flask --app run db upgrade' failed (code 1): " in told
    assert told.count("Background on this error") == 1
    assert release() == serving


def release() -> str:
    """The release that serves."""
    return on_host("basename $(readlink /srv/listings/live)")


def on_host(command: str) -> str:
    """The output of a command on the first host."""
    whole = [*operations.ssh_command(operations.find_host("web-1")), command]
    return subprocess.run(
        whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()
