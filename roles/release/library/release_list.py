#!/usr/bin/python
"""Ansible module: the releases that a host has, and which of them an operator means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_list
short_description: List the releases of an app
description:
  - Lists them, newest first. With O(choose), also finds the one to go back to, or fails with the choices.
options:
  root: {description: The app's folder., type: path, required: true}
  choose: {description: "A release's name or the beginning of it; previous for the one that served before; empty lists only.", type: str, default: ""}
  live_too: {description: Whether the release may be the one that serves., type: bool, default: false}
author: [Outport]
"""

EXAMPLES = r"""
- name: Find the previous release
  release_list:
    root: /srv/shop
    choose: previous
"""

RETURN = r"""
releases:
  description: >-
    Dicts of release, commit, subject, ref, built, by, schema, proved and state: live, previous, kept, rolled back, refused or incomplete.
  type: list
  returned: success
live: {description: The release that serves; empty for none., type: str, returned: success}
chosen: {description: The release that choose found., type: str, returned: success}
history: {description: The last switches, newest first., type: list, returned: success}
rolled_back:
  description: Releases and commits (12 digits) that were rolled back and not deployed since, each with its rollback's entry in the history.
  type: dict
  returned: success
"""

_HISTORY = 10


def target(root: Path, link: str) -> str:
    """The release that a link names; empty for none."""
    path = root / link
    return path.resolve().name if path.is_symlink() and path.exists() else ""


def commit_of(release: str) -> str:
    """The beginning of the commit that a release's id begins with."""
    return release.partition("-")[0]


def entries(root: Path) -> list[dict[str, Any]]:
    """All switches, the oldest first."""
    file = root / "history.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def rolled_back(switches: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was rolled back and not deployed since: releases, and commits, which a changed setting gives another release id."""
    found: dict[str, dict[str, Any]] = {}
    for entry in switches:
        if entry["outcome"] != "done":
            continue
        old, new = entry["from"], entry["to"]
        if entry["action"] == "rollback" and old:
            found[old] = entry
            # Between two releases of one commit, only the settings were rolled back.
            if commit_of(old) != commit_of(new):
                found[commit_of(old)] = entry
        again = commit_of(new) in found
        found = {
            name: known
            for name, known in found.items()
            if name != new and not (again and commit_of(name) == commit_of(new))
        }
    return found


def state(root: Path, folder: Path, switches: list[dict[str, Any]]) -> str:
    """How things are with a release; what an operator must know first comes first."""
    name, undone = folder.name, rolled_back(switches)
    outcomes = [entry["outcome"] for entry in switches if entry["to"] == name]
    if target(root, "live") == name:
        return "live"
    if name in undone or commit_of(name) in undone:
        return "rolled back"
    if outcomes[-1:] == ["refused"]:
        return "refused"
    if target(root, "previous") == name:
        return "previous"
    return "kept" if (folder / ".built").exists() else "incomplete"


def describe(root: Path, folder: Path, switches: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known of a release."""
    file, schema = folder / "release.json", folder / "schema"
    known = json.loads(file.read_text()) if file.exists() else {}
    return {
        **{name: known.get(name, "") for name in ("commit", "subject", "ref", "built", "by")},
        "release": folder.name,
        "schema": schema.read_text().strip() if schema.exists() else "",
        "state": state(root, folder, switches),
        "proved": (folder / ".proved").exists(),
    }


def releases(root: Path) -> list[dict[str, Any]]:
    """All releases, the newest first."""
    folders, switches = [path for path in (root / "releases").glob("*") if path.is_dir()], entries(root)
    return sorted((describe(root, path, switches) for path in folders), key=lambda one: str(one["built"]), reverse=True)


def choose(module: AnsibleModule, root: Path, found: list[dict[str, Any]], wanted: str) -> str:
    """The one release that is meant; fails the module with the choices when there is none."""
    unable = ("incomplete",) if module.params["live_too"] else ("incomplete", "live")
    able = [one for one in found if one["state"] not in unable and one["proved"]]
    previous = target(root, "previous")
    choices = "".join(
        f"\n  {one['release']}  {one['built']}  {one['subject'][:60]}"
        + ("  (previous)" if one["release"] == previous else "")
        for one in able
    )
    hint = (
        f"This host can go back to:{choices}\nName one: -e release=ID"
        if able
        else "This host has no release to go back to."
    )
    if wanted == "previous":
        if not previous:
            module.fail_json(msg=f"There is no previous release. Nothing was changed. {hint}")
        return previous
    fitting = [one["release"] for one in able if one["release"].startswith(wanted)]
    if len(fitting) != 1:
        problem = (
            "fits several releases" if fitting else "names no release that has served on this host and is not live"
        )
        module.fail_json(msg=f"'{wanted}' {problem}. Nothing was changed. {hint}")
    return fitting[0]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "choose": {"type": "str", "default": ""},
            "live_too": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    found = releases(root)
    wanted = module.params["choose"]
    module.exit_json(
        changed=False,
        releases=found,
        live=target(root, "live"),
        chosen=choose(module, root, found, wanted) if wanted else "",
        history=entries(root)[: -_HISTORY - 1 : -1],
        rolled_back=rolled_back(entries(root)),
    )


if __name__ == "__main__":
    main()
