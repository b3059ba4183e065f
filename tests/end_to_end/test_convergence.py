"""A run without a difference changes nothing."""

from support.plays import play

from lab.visitor import Visitor


def test_a_second_run_changes_nothing(site: Visitor) -> None:
    assert play("site.yml").passed().changed == []


def test_a_check_of_a_converged_host_finds_nothing_to_do(site: Visitor) -> None:
    assert play("site.yml", "--check", "--diff").passed().changed == []


def test_a_check_of_a_provisioned_account_finds_nothing_to_do(site: Visitor) -> None:
    """The second run itself is tested in tests/test_provision.py."""
    assert play("playbooks/provision.yml", "--check", "--diff").passed().changed == []
