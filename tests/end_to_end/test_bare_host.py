"""From a new host to the site: the second run of provision.yml, check mode on a bare host, and the first run of site.yml."""

from typing import Any

from support.plays import play

from lab import operations


def test_a_second_provisioning_changes_nothing_and_shows_no_password(secret: dict[str, Any]) -> None:
    played = play("playbooks/provision.yml", "--diff", "-vvv").passed()
    assert played.changed == []
    assert len(secret["password"]) == 32
    assert secret["password"] not in played.stdout


def test_check_mode_works_on_a_bare_host() -> None:
    play("site.yml", "--check", "--diff").passed()


def test_one_run_brings_up_the_site() -> None:
    play("site.yml").passed()
    assert operations.visitor().get("/api/v1/listings").status == 200
