"""Ansible filters for the plans of playbooks/provision.yml and playbooks/teardown.yml: `database_plan`, `hosts_plan` and `addresses_plan` compare
what AWS has with the settings; `planned` makes a change of each name, and `foreign_interfaces` finds what prevents a removal.

Each change of a plan is a dictionary: `resource`, `change` (from what to what) and `effect`, one of EFFECTS.
`plan_lines` returns a plan as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# What a change does to the site, in words. One that is refused stops the run before it changes anything.
EFFECTS = {
    "none": "no interruption",
    "restart": "RESTART",
    "left": "left as it is",
    "refused": "REFUSED",
    "removed": "REMOVED",
    "kept": "kept",
}
# RDS grows storage by at least this factor.
_GROWTH = 1.1
_CLASS = "db_instance_class"
_STORAGE = "allocated_storage"


def database_plan(instances: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the changes of the database.

    `instances` is the result of amazon.aws.rds_instance_info, with one instance or none; `wanted` has name, class,
    storage_gb, multi_az and engine_version (major). Source of the rules: the RDS API's ModifyDBInstance.
    """
    if not instances:
        size = f"{wanted['class']}, {wanted['storage_gb']} GiB, MySQL {wanted['engine_version']}"
        return [_change("database", wanted, f"new: {size}", "none")]
    found = instances[0]
    pending = found.get("pending_modified_values") or {}
    changes = [
        *_engine(found, wanted),
        *_class(found, pending, wanted),
        *_storage(found, pending, wanted),
    ]
    if bool(found["multi_az"]) != bool(wanted["multi_az"]):
        changes.append(("add a standby" if wanted["multi_az"] else "remove the standby", "none"))
    if any(group["parameter_apply_status"] == "pending-reboot" for group in found["db_parameter_groups"]):
        changes.append(("parameters that wait for a restart", "restart"))
    return [_change("database", wanted, text, effect) for text, effect in changes]


def _change(kind: str, wanted: Mapping[str, Any], text: str, effect: str) -> dict[str, str]:
    return {"resource": f"{kind} {wanted['name']}", "change": text, "effect": effect}


def _engine(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    running, major = found["engine_version"], wanted["engine_version"]
    if running.startswith(f"{major}."):
        return []
    text = f"MySQL {running} → {major}: an upgrade to another major version is not made here. Set aws_database_engine_version"
    return [(f"{text} to {'.'.join(running.split('.')[:2])}, or restore a dump into a new environment", "refused")]


def _class(found: Mapping[str, Any], pending: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    current, waiting = found[_CLASS], pending.get(_CLASS)
    if waiting and waiting != wanted["class"]:
        text = f"class {current} → {waiting}, requested elsewhere, waits for the maintenance window ({_window(found)})"
        if current == wanted["class"]:
            return [(f"{text}: canceled", "none")]
        return [(f"{text}: replaced by {wanted['class']}", "restart")]
    if current == wanted["class"]:
        return []
    window = f", otherwise in the maintenance window ({_window(found)})" if waiting else ""
    return [(f"class {current} → {wanted['class']}{window}", "restart")]


def _window(found: Mapping[str, Any]) -> str:
    return f"{found['preferred_maintenance_window']} UTC"


def _storage(found: Mapping[str, Any], pending: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    current, size = int(found[_STORAGE]), int(wanted["storage_gb"])
    least = math.ceil(round(current * _GROWTH, 6))
    if size == current:
        return (
            [(f"storage → {pending[_STORAGE]} GiB, requested elsewhere: canceled", "none")]
            if _STORAGE in pending
            else []
        )
    text = f"storage {current} → {size} GiB"
    if size < current:
        return [(f"{text}: RDS can't shrink it. Set database_storage_gb to {current} or more", "refused")]
    if size < least:
        return [
            (
                f"{text}: RDS grows it by a tenth at least. Set database_storage_gb to {current}, or to {least} or more",
                "refused",
            )
        ]
    if found["db_instance_status"] == "storage-optimization":
        return [
            (
                f"{text}: the last change is still being optimized, for some hours. Run again when the status is available",
                "refused",
            )
        ]
    return [(text, "none")]


def hosts_plan(instances: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the changes of the hosts.

    `instances` is the result of amazon.aws.ec2_instance_info; `wanted` has names, type, zones and architectures of the type, and the image's.
    """
    found = {one["tags"]["Name"]: one for one in instances}
    changes = []
    for name in wanted["names"]:
        host = {"name": name}
        if name not in found:
            changes.append(_change("host", host, *_new(wanted)))
        elif found[name]["instance_type"] != wanted["type"]:
            changes.append(_change("host", host, *_type(found[name], wanted)))
    changes += [
        _change("host", {"name": name}, "not in the settings any more (web_count); terminate it yourself", "left")
        for name in sorted(found.keys() - {*wanted["names"]})
    ]
    return changes


def _new(wanted: Mapping[str, Any]) -> tuple[str, str]:
    runs, image = wanted["architectures"], wanted["image_architecture"]
    # A type that the region does not have is reported with the zones of the network.
    if not runs or image in runs:
        return f"new: {wanted['type']}", "none"
    text = f"new: {wanted['type']} runs {', '.join(runs)}, and the image is {image}"
    return f"{text}. Set web_instance_type to another type, or web_image to another image", "refused"


def _type(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, str]:
    text = f"type {found['instance_type']} → {wanted['type']}"
    zone, architecture = found["placement"]["availability_zone"], found["architecture"]
    if zone not in wanted["zones"]:
        zones = ", ".join(wanted["zones"]) or "no zone of this region"
        return (
            f"{text}: not offered in the host's zone {zone}, but in {zones}. Set web_instance_type to another type",
            "refused",
        )
    if architecture not in wanted["architectures"]:
        runs = ", ".join(wanted["architectures"])
        return (
            f"{text}: it runs {runs}, and the host's image is {architecture}. Set web_instance_type to another type",
            "refused",
        )
    return f"{text}, one host at a time", "restart"


def addresses_plan(addresses: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the addresses that no host has and none will get, which AWS bills.

    `addresses` is the result of amazon.aws.ec2_eip_info; `wanted` has the names of the hosts.
    """
    return [
        _change(
            "address",
            {"name": one["public_ip"]},
            f"no host has it (it was of {one['tags']['Name']}), and AWS bills it."
            f" Release it: aws ec2 release-address --allocation-id {one['allocation_id']}",
            "left",
        )
        for one in sorted(addresses, key=lambda one: str(one["public_ip"]))
        if not one.get("association_id") and one["tags"]["Name"] not in wanted["names"]
    ]


def planned(names: Sequence[str], kind: str, effect: str, change: str) -> list[dict[str, str]]:
    """Return a change of each resource of one kind."""
    return [_change(kind, {"name": name}, change, effect) for name in names]


def foreign_interfaces(interfaces: Sequence[Mapping[str, Any]], instances: Sequence[str]) -> list[str]:
    """Return the ids of the network interfaces that belong neither to these instances nor to RDS.

    `interfaces` is the result of amazon.aws.ec2_eni_info.
    """
    return [
        one["id"]
        for one in interfaces
        if one.get("description") != "RDSNetworkInterface"
        and (one.get("attachment") or {}).get("instance_id") not in instances
    ]


def plan_lines(changes: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a plan as text, a line for each change."""
    width = max((len(one["resource"]) for one in changes), default=0)
    return [f"{one['resource']:{width}}  {EFFECTS[one['effect']]}: {one['change']}" for one in changes]


class FilterModule:
    """The filters of the plan."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "database_plan": database_plan,
            "hosts_plan": hosts_plan,
            "addresses_plan": addresses_plan,
            "planned": planned,
            "foreign_interfaces": foreign_interfaces,
            "plan_lines": plan_lines,
        }
