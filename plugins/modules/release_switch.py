#!/usr/bin/python
"""Ansible module: make a release the one that serves, if it proves itself; otherwise leave the old one serving."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.lock import locked
from ansible.module_utils.release.switch import Switch

DOCUMENTATION = r"""
module: release_switch
short_description: Switch the traffic to a release that proves itself
description:
  - Starts a release beside the one that serves, asks for its health on its own socket, and changes the link C(live) to it.
  - Then watches the real traffic for a while; when the new release does worse, the link is changed back.
  - Last it starts the app's other processes, and stops what served before. Each step may be cut off; the next run goes on.
options:
  name: {description: Name of the app; its units are NAME@RELEASE., type: str, required: true}
  release: {description: The release to serve., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  health_path: {description: Path to ask., type: str, required: true}
  health_host: {description: Name of the site., type: str, default: localhost}
  health_body: {description: Regular expression that the body matches; empty for any., type: str, default: ""}
  health_timeout: {description: How long a release may take to become healthy, in seconds., type: int, default: 60}
  settle_seconds: {description: How long a release stays well before it serves the first time., type: int, default: 6}
  watch_seconds: {description: How long the live traffic is watched., type: int, default: 5}
  drain_seconds: {description: How long the old release may take to accept what came before the switch., type: int, default: 30}
  watch_max_errors: {description: Failed answers that are too many, in percent above what was before., type: int, default: 5}
  watch_max_slowdown: {description: How many times slower than before the median answer may be., type: int, default: 4}
  access_log: {description: The proxy's log in JSON lines; empty for none., type: path}
  action: {description: What the history calls this., type: str, choices: [deploy, rollback], default: deploy}
  by: {description: Who does it., type: str, default: ""}
  schema: {description: Revision of the database that the release knows., type: str, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Serve the release
  release_switch:
    name: shop
    release: 0123456789ab-c0ffee
    root: /srv/shop
    health_path: /healthz
"""

RETURN = r"""
from: {description: The release that served before; empty for none., type: str, returned: success}
phases: {description: Seconds that each step took., type: dict, returned: success}
traffic: {description: Requests that the proxy served meanwhile, failed ones and the slowest., type: dict, returned: success}
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
            "settle_seconds": {"type": "int", "default": 6},
            "watch_seconds": {"type": "int", "default": 5},
            "drain_seconds": {"type": "int", "default": 30},
            "watch_max_errors": {"type": "int", "default": 5},
            "watch_max_slowdown": {"type": "int", "default": 4},
            "access_log": {"type": "path"},
            "action": {"type": "str", "choices": ["deploy", "rollback"], "default": "deploy"},
            "by": {"type": "str", "default": ""},
            "schema": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"], Path(module.params["root"]))
    release = app.release(module.params["release"])
    if module.check_mode and not release.folder.exists():
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
    module.exit_json(changed=not done, phases=phases, traffic=switch.traffic.summary(), **{"from": switch.serving})


if __name__ == "__main__":
    main()
