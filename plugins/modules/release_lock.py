#!/usr/bin/python
"""Ansible module: acquire and release the deploy lock."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release import deploy_lock
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App

DOCUMENTATION = r"""
module: release_lock
short_description: Acquire or release the deploy lock of an app
description:
  - Acquires the lock, or fails and names its holder. A lock whose run on the same machine has ended is taken over.
options:
  name: {description: Name of the app., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  state: {description: Whether to acquire or to release the lock., type: str, choices: [present, absent], default: present}
  holder: {description: "The run: user, machine, process and sessions, as the lookup release_session returns them.", type: dict, required: true}
  purpose: {description: "What the lock is for, shown to other runs.", type: str, default: ""}
  restore_marker: {description: File of a restore in progress, which refuses the lock; empty for none., type: str, default: ""}
  force: {description: Break a lock that another run holds., type: bool, default: false}
author: [Outport]
"""

EXAMPLES = r"""
- name: Acquire the deploy lock
  release_lock:
    name: shop
    root: /srv/shop
    holder: "{{ lookup('release_session') }}"
    purpose: deploy of main
"""

RETURN = r"""
broken: {description: Holder of a stale lock that was taken over; empty for none., type: str, returned: success}
at: {description: "Time of the host's clock, in seconds since 1970.", type: float, returned: success}
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
            "restore_marker": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"], Path(module.params["root"]))
    path, holder, restore_marker = app.deploy_lock, module.params["holder"], module.params["restore_marker"]
    broken = ""
    try:
        if module.check_mode:
            module.exit_json(changed=False, broken="", at=time.time())
        elif module.params["state"] == "absent":
            deploy_lock.release(path, holder)
        elif restore_marker and Path(restore_marker).exists():
            raise ReleaseError(
                "A restore of the database is in progress, or was interrupted. Nothing was changed."
                " Complete or undo it first: ansible-playbook playbooks/restore.yml"
            )
        else:
            broken = deploy_lock.acquire(path, holder, module.params["purpose"], module.params["force"])
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, broken=broken, at=time.time())


if __name__ == "__main__":
    main()
