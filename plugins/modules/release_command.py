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
  - Runs the commands in order in the release's C(app), each with the environment that the service has; stops at the first that fails.
  - With O(once) they run until all of them were done once for this release, and never again.
options:
  name: {description: Name of the app, and of the user to run as., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  release: {description: Id of the release., type: str, required: true}
  launcher: {description: Program that starts a command with the release's secrets., type: path, required: true}
  commands: {description: Commands with their arguments., type: list, elements: str, default: []}
  question: {description: A command whose last line is returned as answer; empty for none., type: str, default: ""}
  once: {description: Whether this release needs them once only., type: bool, default: false}
  timeout: {description: How long a command may take, in seconds., type: int, default: 900}
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
    question: flask --app run db current
    once: true
"""

RETURN = r"""
log: {description: The last lines that a failed command wrote., type: str, returned: failure}
answer: {description: First word of the last line of the question's output., type: str, returned: success}
seconds: {description: How long it took., type: float, returned: success}
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
            "question": {"type": "str", "default": ""},
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
            changed=bool(commands) and not (options["once"] and release.set_up.exists()), answer="", seconds=0
        )
    runner = Runner(release, app.name, options["launcher"], options["timeout"])
    try:
        # What a run that was cut off finishes meanwhile is not done again.
        with locked(app, f"commands of {release.id}"):
            if options["once"] and release.set_up.exists():
                module.exit_json(changed=False, answer=release.set_up.read_text().strip(), seconds=0)
            for command in commands:
                runner.run(command)
            answer = runner.revision(options["question"])
            if options["once"]:
                release.set_up.write_text(answer)
    except CommandError as error:
        # Ansible shows the message twice, so that the log stands alone.
        module.fail_json(msg=str(error), log=error.log)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(commands), answer=answer, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
