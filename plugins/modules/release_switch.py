#!/usr/bin/python
"""Ansible module: switch to a release that passes its health checks; otherwise leave the previous one live."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.lock import locked
from ansible.module_utils.release.switch import Switch

DOCUMENTATION = r"""
module: release_switch
short_description: Switch the traffic to a release after its health checks
description:
  - Starts a release next to the live one, runs health checks on its own socket, and changes the link C(live) to it.
  - Then monitors the traffic; when errors or response times rise, the link is changed back.
  - Finally starts the app's other processes and stops the previous release. An interrupted run is completed by the next one.
options:
  name: {description: Name of the app; its units are NAME@RELEASE., type: str, required: true}
  release: {description: Id of the release to switch to., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  health_path: {description: Path of the health check., type: str, required: true}
  health_host: {description: Host header of the health check., type: str, default: localhost}
  health_body: {description: Regular expression that the body matches; empty for any., type: str, default: ""}
  health_timeout: {description: Time limit for a release to become healthy, in seconds., type: int, default: 60}
  readiness_delay: {description: "How long a new release has to stay healthy before it takes traffic, in seconds.", type: int, default: 6}
  monitor_seconds: {description: "How long the traffic is monitored, in seconds.", type: int, default: 5}
  drain_seconds: {description: "Time limit for draining the previous release, in seconds.", type: int, default: 30}
  monitor_max_errors: {description: "Rise of the error rate that causes a rollback, in percentage points.", type: int, default: 5}
  monitor_max_slowdown: {description: Rise of the median response time that causes a rollback, as a factor., type: int, default: 4}
  access_log: {description: The proxy's access log in JSON lines; empty for none., type: path}
  action: {description: Action recorded in the history., type: str, choices: [deploy, rollback], default: deploy}
  by: {description: Operator recorded in the history., type: str, default: ""}
  schema: {description: "The database's schema revision, recorded with the release.", type: str, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Switch to the release
  release_switch:
    name: shop
    release: 0123456789ab-c0ffee
    root: /srv/shop
    health_path: /healthz
"""

RETURN = r"""
from: {description: The previously live release; empty for none., type: str, returned: success}
phases: {description: "Duration of each phase, in seconds.", type: dict, returned: success}
traffic: {description: "Requests during the switch: total, failed and slowest.", type: dict, returned: success}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "health_path": {"type": "str", "required": True},
            "health_host": {"type": "str", "default": "localhost"},
            "health_body": {"type": "str", "default": ""},
            "health_timeout": {"type": "int", "default": 60},
            "readiness_delay": {"type": "int", "default": 6},
            "monitor_seconds": {"type": "int", "default": 5},
            "drain_seconds": {"type": "int", "default": 30},
            "monitor_max_errors": {"type": "int", "default": 5},
            "monitor_max_slowdown": {"type": "int", "default": 4},
            "access_log": {"type": "path"},
            "action": {"type": "str", "choices": ["deploy", "rollback"], "default": "deploy"},
            "by": {"type": "str", "default": ""},
            "schema": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"], Path(module.params["root"]))
    release = app.release(module.params["release"])
    if module.check_mode and not release.directory.exists():
        module.exit_json(changed=True)
    phases: dict[str, float] = {}
    try:
        with locked(app, f"switch to {release.id}"):
            switch = Switch(module.params, phases)
            done = switch.is_done()
            if not done and not module.check_mode:
                switch.run()
    except ReleaseError as error:
        module.fail_json(msg=str(error), phases=phases)
    module.exit_json(changed=not done, phases=phases, traffic=switch.traffic.summary(), **{"from": switch.live})


if __name__ == "__main__":
    main()
