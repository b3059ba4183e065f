"""Ansible lookup `release_session`: the operator and the process of this playbook run, and the other runs on this machine."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import uuid
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: release_session
short_description: Identify this playbook run
description:
  - Returns C(user), C(name), C(machine), C(process) (process id of ansible-playbook) and C(sessions) (process ids of all runs on this machine).
author: [Outport]
"""

EXAMPLES = r"""
- name: Show the operator
  ansible.builtin.debug:
    msg: "{{ lookup('release_session').user }}"
"""

RETURN = r"""
_raw: {description: One dict., type: list, elements: dict}
"""


def processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the command line of each process on this machine, by process id."""
    # -ww: otherwise ps truncates the command lines without a wide terminal.
    command = ["ps", "-axww", "-o", "pid=,ppid=,command="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for line in lines.splitlines():
        number, parent, text = (*line.split(None, 2), "")[:3]
        found[int(number)] = (int(parent), text)
    return found


class LookupModule(LookupBase):
    """The lookup of this file."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        """Return one dict."""
        found = processes()
        sessions = {number for number, (_, command) in found.items() if "ansible-playbook" in command}
        process = os.getpid()
        # Tasks run in child processes of ansible-playbook.
        while found.get(process, (0, ""))[0] in sessions:
            process = found[process][0]
        return [
            {
                "user": getpass.getuser(),
                "name": f"{getpass.getuser()}@{platform.node()}",
                "machine": f"{platform.node()}-{uuid.getnode():012x}",
                "process": process,
                "sessions": sorted(sessions | {process}),
            }
        ]
