#!/usr/bin/python
"""Ansible module: run commands of a release as the app's user, with its settings and its secrets, in a sandbox."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.lock import locked
from ansible.module_utils.release.oneoff import CommandError, Runner

DOCUMENTATION = r"""
module: release_command
short_description: Run commands of a release, such as its migrations
description:
  - Runs the commands in order in the release's C(app), each with the environment of the service, and stops at the first failure.
  - With O(once) they run until all of them have succeeded once for this release, and never again.
options:
  name: {description: Name of the app, and of the user to run as., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  release: {description: Id of the release., type: str, required: true}
  launcher: {description: Program that starts a command with the release's secrets., type: path, required: true}
  commands: {description: Commands with their arguments., type: list, elements: str, default: []}
  schema_command: {description: Command whose last line begins with the database's schema revision; empty for none., type: str, default: ""}
  once: {description: Whether the commands run once per release only., type: bool, default: false}
  timeout: {description: Time limit of a command, in seconds., type: int, default: 900}
author: [Outport]
"""

EXAMPLES = r"""
- name: Migrate the database
  release_command:
    name: shop
    root: /srv/shop
    release: 0123456789ab-c0ffee
    launcher: /opt/outport/launch
    commands: [flask --app run db upgrade]
    schema_command: flask --app run db current
    once: true
"""

RETURN = r"""
log: {description: The last lines of a failed command's output., type: str, returned: failure}
schema: {description: "The database's schema revision, printed by O(schema_command).", type: str, returned: success}
seconds: {description: Duration in seconds., type: float, returned: success}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "launcher": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "str", "default": []},
            "schema_command": {"type": "str", "default": ""},
            "once": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    options, began = module.params, time.monotonic()
    app = App(options["name"], Path(options["root"]))
    release, commands = app.release(options["release"]), options["commands"]
    if module.check_mode:
        module.exit_json(
            changed=bool(commands) and not (options["once"] and release.set_up.exists()), schema="", seconds=0
        )
    runner = Runner(app, release, options["launcher"], options["timeout"])
    try:
        # Work that an interrupted run completes in the meantime is not repeated.
        with locked(app, f"commands of {release.id}"):
            if options["once"] and release.set_up.exists():
                module.exit_json(changed=False, schema=release.set_up.read_text().strip(), seconds=0)
            for command in commands:
                runner.run(command)
            schema = runner.revision(options["schema_command"])
            if options["once"]:
                release.set_up.write_text(schema)
    except CommandError as error:
        # Ansible shows the message twice, so the log is separate.
        module.fail_json(msg=str(error), log=error.log)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(commands), schema=schema, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
