#!/usr/bin/python
"""Ansible module: one deploy at a time."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release import deploy_lock
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App

DOCUMENTATION = r"""
module: release_lock
short_description: Hold the lock of an app's releases for one run of a playbook
description:
  - Takes the lock, or fails with who has it since when. A run takes over the lock of one on the same machine that is no more.
options:
  name: {description: Name of the app., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
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
    name: shop
    root: /srv/shop
    holder: "{{ lookup('release_session') }}"
    purpose: deploy of main
"""

RETURN = r"""
broken: {description: Whose stale lock was taken over; empty for none., type: str, returned: success}
at: {description: When that was, in seconds since 1970 by the host's clock., type: float, returned: success}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "holder": {"type": "dict", "required": True},
            "purpose": {"type": "str", "default": ""},
            "blocker": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"], Path(module.params["root"]))
    path, holder, blocker = app.deploy_lock, module.params["holder"], module.params["blocker"]
    broken = ""
    try:
        if module.check_mode:
            module.exit_json(changed=False, broken="", at=time.time())
        elif module.params["state"] == "absent":
            deploy_lock.release(path, holder)
        elif blocker and Path(blocker).exists():
            raise ReleaseError(
                "A restore of the database is at work, or was interrupted. Nothing was changed."
                " Complete or undo it first: ansible-playbook playbooks/restore.yml"
            )
        else:
            broken = deploy_lock.acquire(path, holder, module.params["purpose"], module.params["force"])
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, broken=broken, at=time.time())


if __name__ == "__main__":
    main()
