"""Ansible lookup `release_session`: who runs this playbook, and which other runs there are on this machine."""

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
short_description: Who runs this playbook
description:
  - Returns C(user), C(name), C(machine), C(process) (number of the ansible-playbook) and C(sessions) (numbers of all that run on this machine).
author: [Outport]
"""

EXAMPLES = r"""
- name: Show who runs this
  ansible.builtin.debug:
    msg: "{{ lookup('release_session').user }}"
"""

RETURN = r"""
_raw: {description: One dict., type: list, elements: dict}
"""


def processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the command line of each process of this machine, by number."""
    # Twice wide: without a terminal, or on a narrow one, ps cuts the command lines.
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
        """Return the one dict."""
        found = processes()
        sessions = {number for number, (_, command) in found.items() if "ansible-playbook" in command}
        process = os.getpid()
        # The tasks run in children of the playbook's own process.
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
