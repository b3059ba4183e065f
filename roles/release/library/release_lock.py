#!/usr/bin/python
"""Ansible module: one deploy at a time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_lock
short_description: Hold the lock of an app's releases for one run of a playbook
description:
  - Takes the lock, or fails with who has it since when. A run takes over the lock of one on the same machine that is no more.
options:
  path: {description: File of the lock., type: path, required: true}
  state: {description: Take it or give it back., type: str, choices: [present, absent], default: present}
  holder: {description: "Who asks: user, machine, process and sessions, as the lookup release_session tells.", type: dict, required: true}
  purpose: {description: What for, for those who find it taken., type: str, default: ""}
  blocker: {description: File that an interrupted restore left; while it is there, nobody takes the lock. Empty for none., type: str, default: ""}
  force: {description: Take it from whoever has it., type: bool, default: false}
author: [Outport]
"""

EXAMPLES = r"""
- name: Take the lock
  release_lock:
    path: /srv/shop/deploy.lock
    holder: "{{ lookup('release_session') }}"
    purpose: deploy of main
"""

RETURN = r"""
broken: {description: Whose stale lock was taken over; empty for none., type: str, returned: success}
at: {description: When that was, in seconds since 1970 by the host's clock., type: float, returned: success}
"""


def ago(seconds: float) -> str:
    """Return a time span as a person says it."""
    minutes = int(seconds // 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{int(seconds)} s"
    )


def read(path: Path) -> dict[str, Any] | None:
    """Return who has the lock; None when nobody has."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def is_own(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Tell whether the lock is this very run's."""
    return all(held[name] == holder[name] for name in ("machine", "process"))


def is_stale(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Tell whether the lock is of a run on the same machine that is no more."""
    return held["machine"] == holder["machine"] and held["process"] not in holder["sessions"]


def take(path: Path, entry: dict[str, Any]) -> bool:
    """Make the lock in one step, with its content; False when somebody was faster."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(entry))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "holder": {"type": "dict", "required": True},
            "purpose": {"type": "str", "default": ""},
            "blocker": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    path, holder = Path(module.params["path"]), module.params["holder"]
    held = read(path)
    if module.check_mode:
        module.exit_json(changed=False, broken="", at=time.time())
    if module.params["state"] == "absent":
        if held and is_own(held, holder):
            path.unlink()
        module.exit_json(changed=False, broken="", at=time.time())
    if module.params["blocker"] and Path(module.params["blocker"]).exists():
        module.fail_json(
            msg="A restore of the database is at work, or was interrupted. Nothing was changed."
            " Complete or undo it first: ansible-playbook playbooks/restore.yml"
        )
    broken = ""
    if held and (is_own(held, holder) or is_stale(held, holder) or module.params["force"]):
        broken = "" if is_own(held, holder) else f"{held['user']}@{held['machine']}"
        path.unlink(missing_ok=True)
        held = None
    entry = {name: holder[name] for name in ("user", "machine", "process")}
    if held or not take(path, {**entry, "purpose": module.params["purpose"], "since": time.time()}):
        held = read(path) or {"user": "somebody", "machine": "?", "purpose": "", "since": time.time()}
        module.fail_json(
            msg=f"Another run is at work: {held['purpose']} by {held['user']}@{held['machine']}, since {ago(time.time() - held['since'])}."
            " Nothing was changed. Wait for it; if it is no more, break its lock: run this again with -e break_lock=true"
        )
    module.exit_json(changed=False, broken=broken, at=time.time())


if __name__ == "__main__":
    main()
