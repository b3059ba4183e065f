#!/usr/bin/python
"""Ansible module: stop and start the processes of an app other than its web service."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import UNITS, App
from ansible.module_utils.release.systemd import state_of, systemctl

DOCUMENTATION = r"""
module: release_processes
short_description: Stop, start or restart the workers, schedulers and timers of an app
description:
  - Applies to those of the live release on this host. They stay enabled; the web service is not affected.
  - A restart applies a changed unit, and a changed target that starts it at boot. What runs on the primary host only is not started on others.
options:
  name: {description: Name of the app., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  processes: {description: Names of the services to restart; others are not affected., type: list, elements: str, default: []}
  state: {description: Whether the processes run., type: str, choices: [started, stopped, restarted], required: true}
author: [Outport]
"""

EXAMPLES = r"""
- name: Stop the workers and timers
  release_processes:
    name: shop
    root: /srv/shop
    state: stopped
"""

RETURN = r"""
units: {description: The units., type: list, returned: success}
"""

RUNNING = ("active", "activating", "reloading")


def restart(module: AnsibleModule, units: list[str]) -> None:
    """Restart services, and end the module."""
    try:
        if units and not module.check_mode:
            systemctl("daemon-reload")
            systemctl("reenable", *units)
            systemctl("restart", *units)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(units), units=units)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "processes": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["started", "stopped", "restarted"], "required": True},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"], Path(module.params["root"]))
    live_id = app.named_by(app.live)
    live = app.release(live_id)
    if not live_id or not live.processes.exists():
        module.exit_json(changed=False, units=[])
    commands = [name for name in json.loads(live.processes.read_text())["processes"] if name != "web"]
    if module.params["state"] == "restarted":
        restart(module, app.processes_here([name for name in commands if name in module.params["processes"]], live.id))
    timers = [unit for unit in map(app.timer, commands) if (UNITS / unit).exists()]
    units = [*timers, *app.processes_here(commands, live.id)]
    # A service that a timer has started continues without the timer.
    tasks = [timer.replace(".timer", ".service") for timer in timers] if module.params["state"] == "stopped" else []
    start = module.params["state"] == "started"
    states = {unit: state_of(unit) for unit in [*units, *tasks]}
    other = [
        unit for unit, state in states.items() if (state.active in RUNNING) != start and not (start and state.elsewhere)
    ]
    try:
        if other and not module.check_mode:
            if failed := [unit for unit in other if states[unit].active == "failed"]:
                systemctl("reset-failed", *failed)
            systemctl("start" if start else "stop", *other)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(other), units=units)


if __name__ == "__main__":
    main()
