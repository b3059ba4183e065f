"""The plan of playbooks/provision.yml: what changes of the settings mean for the hosts and the database."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("plan", ROOT / "plugins/filter/plan.py")
assert SPEC
assert SPEC.loader
PLAN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PLAN)

DATABASE = {
    "db_instance_class": "db.t4g.micro",
    "db_instance_status": "available",
    "allocated_storage": 100,
    "multi_az": False,
    "engine_version": "8.4.7",
    "preferred_maintenance_window": "sun:03:00-sun:03:30",
    "pending_modified_values": {},
    "db_parameter_groups": [{"db_parameter_group_name": "shop", "parameter_apply_status": "in-sync"}],
}
WANTED = {"name": "shop", "class": "db.t4g.micro", "storage_gb": 100, "multi_az": False, "engine_version": "8.4"}
HOST = {
    "tags": {"Name": "shop-web-1"},
    "instance_type": "t3.small",
    "architecture": "x86_64",
    "placement": {"availability_zone": "eu-west-1a"},
}
OFFERED = {"zones": ["eu-west-1a", "eu-west-1b"], "architectures": ["x86_64"], "image_architecture": "x86_64"}


def database(wanted: dict[str, Any], **found: Any) -> list[tuple[str, str]]:
    """Return the changes of the database, as effect and text."""
    changes = PLAN.database_plan([DATABASE | found], WANTED | wanted)
    assert {one["resource"] for one in changes} <= {"database shop"}
    return [(one["effect"], one["change"]) for one in changes]


def hosts(names: list[str], kind: str, offered: dict[str, Any] = OFFERED) -> list[tuple[str, str, str]]:
    """Return the changes of the hosts, when there is one."""
    wanted = {"names": names, "type": kind, **offered}
    return [(one["effect"], one["resource"], one["change"]) for one in PLAN.hosts_plan([HOST], wanted)]


def test_a_plan_without_a_difference_is_empty() -> None:
    assert database({}) == []
    assert hosts(["shop-web-1"], "t3.small") == []


def test_a_new_database_interrupts_nothing() -> None:
    (change,) = PLAN.database_plan([], WANTED)
    assert (change["effect"], change["change"]) == ("none", "new: db.t4g.micro, 100 GiB, MySQL 8.4")


@pytest.mark.parametrize(
    ("wanted", "effect", "text"),
    [
        ({"class": "db.t4g.small"}, "restart", "class db.t4g.micro → db.t4g.small"),
        ({"storage_gb": 110}, "none", "storage 100 → 110 GiB"),
        ({"storage_gb": 105}, "refused", "Set database_storage_gb to 100, or to 110 or more"),
        ({"storage_gb": 50}, "refused", "RDS can't shrink it. Set database_storage_gb to 100 or more"),
        ({"multi_az": True}, "none", "add a standby"),
        ({"engine_version": "9.7"}, "refused", "Set aws_database_engine_version to 8.4"),
    ],
    ids=["class", "storage", "less-than-a-tenth", "shrink", "standby", "major-version"],
)
def test_each_change_of_the_database_has_its_effect(wanted: dict[str, Any], effect: str, text: str) -> None:
    ((found, change),) = database(wanted)
    assert found == effect
    assert text in change


def test_storage_that_is_being_optimized_is_not_changed_again() -> None:
    ((effect, change),) = database({"storage_gb": 200}, db_instance_status="storage-optimization")
    assert effect == "refused"
    assert "Run again when the status is available" in change


def test_a_class_that_waits_for_the_maintenance_window_is_shown() -> None:
    waiting = {"db_instance_class": "db.t4g.large"}
    ((effect, same),) = database({"class": "db.t4g.large"}, pending_modified_values=waiting)
    assert effect == "restart"
    assert "otherwise in the maintenance window (sun:03:00-sun:03:30 UTC)" in same
    ((effect, back),) = database({}, pending_modified_values=waiting)
    assert effect == "none"
    assert back.endswith("canceled")
    ((effect, other),) = database({"class": "db.t4g.small"}, pending_modified_values=waiting)
    assert effect == "restart"
    assert other.endswith("replaced by db.t4g.small")


def test_parameters_that_wait_for_a_restart_are_shown() -> None:
    groups = [{"db_parameter_group_name": "shop", "parameter_apply_status": "pending-reboot"}]
    assert database({}, db_parameter_groups=groups) == [("restart", "parameters that wait for a restart")]


def test_hosts_are_added_and_those_that_are_not_wanted_stay() -> None:
    assert hosts(["shop-web-1", "shop-web-2"], "t3.small") == [("none", "host shop-web-2", "new: t3.small")]
    ((effect, resource, change),) = hosts([], "t3.small")
    assert (effect, resource) == ("left", "host shop-web-1")
    assert "terminate it yourself" in change


def test_an_address_that_no_host_has_or_will_get_is_listed() -> None:
    addresses = [
        {"public_ip": ip, "allocation_id": f"eipalloc-{name}", "tags": {"Name": name}} | associated
        for ip, name, associated in (
            ("203.0.113.7", "shop-web-1", {"association_id": "eipassoc-1"}),
            ("203.0.113.8", "shop-web-2", {}),
            ("203.0.113.9", "shop-web-3", {}),
            ("203.0.113.10", "shop-web-4", {"association_id": "eipassoc-2"}),
        )
    ]
    (line,) = PLAN.plan_lines(PLAN.addresses_plan(addresses, {"names": ["shop-web-1", "shop-web-2"]}))
    assert line.startswith(
        "address 203.0.113.9  left as it is: no host has it (it was of shop-web-3), and AWS bills it."
    )
    assert line.endswith("aws ec2 release-address --allocation-id eipalloc-shop-web-3")


def test_another_type_is_a_restart() -> None:
    assert hosts(["shop-web-1"], "t3.medium") == [
        ("restart", "host shop-web-1", "type t3.small → t3.medium, one host at a time")
    ]


def test_a_new_host_whose_type_cannot_run_the_image_is_refused() -> None:
    both = ["shop-web-1", "shop-web-2"]
    ((effect, resource, change),) = hosts(both, "t3.small", OFFERED | {"image_architecture": "arm64"})
    assert (effect, resource) == ("refused", "host shop-web-2")
    assert change.startswith("new: t3.small runs x86_64, and the image is arm64. Set web_instance_type")


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        ({"zones": ["eu-west-1c"]}, "not offered in the host's zone eu-west-1a, but in eu-west-1c"),
        ({"zones": []}, "but in no zone of this region"),
        ({"architectures": ["arm64"]}, "it runs arm64, and the host's image is x86_64"),
    ],
    ids=["zone", "unknown", "architecture"],
)
def test_a_type_that_the_host_cannot_have_is_refused(offered: dict[str, list[str]], reason: str) -> None:
    ((effect, _, change),) = hosts(["shop-web-1"], "t4g.small", OFFERED | offered)
    assert effect == "refused"
    assert reason in change


def test_a_plan_is_a_line_for_each_change() -> None:
    changes = [
        *PLAN.hosts_plan([HOST], {"names": ["shop-web-1"], "type": "t3.medium", **OFFERED}),
        *PLAN.database_plan([DATABASE], WANTED | {"storage_gb": 200}),
    ]
    assert PLAN.plan_lines(changes) == [
        "host shop-web-1  RESTART: type t3.small → t3.medium, one host at a time",
        "database shop    no interruption: storage 100 → 200 GiB",
    ]


def test_each_name_becomes_a_line_of_a_removal() -> None:
    changes = PLAN.planned(["shop-backup-1", "shop-backup-2"], "snapshot", "kept", "of the database")
    assert PLAN.plan_lines(changes) == [
        "snapshot shop-backup-1  kept: of the database",
        "snapshot shop-backup-2  kept: of the database",
    ]


def test_interfaces_of_the_hosts_and_of_rds_are_not_foreign() -> None:
    interfaces = [
        {"id": "eni-1", "description": "", "attachment": {"instance_id": "i-1"}},
        {"id": "eni-2", "description": "RDSNetworkInterface", "attachment": {"instance_owner_id": "amazon-rds"}},
        {"id": "eni-3", "description": "", "attachment": {"instance_id": "i-2"}},
        {"id": "eni-4", "description": "ELB app/other", "attachment": {"instance_owner_id": "amazon-elb"}},
        {"id": "eni-5", "description": ""},
    ]
    assert PLAN.foreign_interfaces(interfaces, ["i-1"]) == ["eni-3", "eni-4", "eni-5"]
