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
releases: {description: "Dicts of release, commit, subject, ref, built, by, schema, proved and state.", type: list, returned: success}
live: {description: The release that serves; empty for none., type: str, returned: success}
chosen: {description: The release that choose found., type: str, returned: success}
history: {description: The last switches, newest first., type: list, returned: success}
"""

_HISTORY = 10


def target(root: Path, link: str) -> str:
    """The release that a link names; empty for none."""
    path = root / link
    return path.resolve().name if path.is_symlink() and path.exists() else ""


def describe(root: Path, folder: Path) -> dict[str, Any]:
    """What is known of a release."""
    file, schema = folder / "release.json", folder / "schema"
    told = json.loads(file.read_text()) if file.exists() else {}
    state = "kept" if (folder / ".built").exists() else "incomplete"
    for link in ("previous", "live"):
        if target(root, link) == folder.name:
            state = link
    return {
        **{name: told.get(name, "") for name in ("commit", "subject", "ref", "built", "by")},
        "release": folder.name,
        "schema": schema.read_text().strip() if schema.exists() else "",
        "state": state,
        "proved": (folder / ".proved").exists(),
    }


def releases(root: Path) -> list[dict[str, Any]]:
    """All releases, the newest first."""
    folders = [path for path in (root / "releases").glob("*") if path.is_dir()]
    return sorted((describe(root, path) for path in folders), key=lambda one: str(one["built"]), reverse=True)


def history(root: Path) -> list[dict[str, Any]]:
    """The last switches, the newest first."""
    file = root / "history.jsonl"
    lines = file.read_text().splitlines()[-_HISTORY:] if file.exists() else []
    return [json.loads(line) for line in reversed(lines)]


def choose(module: AnsibleModule, root: Path, found: list[dict[str, Any]], wanted: str) -> str:
    """The one release that is meant; fails the module with the choices when there is none."""
    states = ("previous", "kept", "live") if module.params["live_too"] else ("previous", "kept")
    able = [one for one in found if one["state"] in states and one["proved"]]
    choices = "".join(
        f"\n  {one['release']}  {one['built']}  {one['subject'][:60]}"
        + ("  (previous)" if one["state"] == "previous" else "")
        for one in able
    )
    hint = (
        f"This host can go back to:{choices}\nName one: -e release=ID"
        if able
        else "This host has no release to go back to."
    )
    if wanted == "previous":
        if not (release := target(root, "previous")):
            module.fail_json(msg=f"There is no previous release. Nothing was changed. {hint}")
        return release
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
        history=history(root),
    )


if __name__ == "__main__":
    main()
