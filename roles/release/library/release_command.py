#!/usr/bin/python
"""Ansible module: run commands of a release as the app's user, with its settings and its secrets, in a sandbox."""

from __future__ import annotations

import fcntl
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_command
short_description: Run commands of a release, such as its migrations
description:
  - Runs the commands in order in the release's C(app), each with the environment that the service has; stops at the first that fails.
  - With O(once) they run until all of them were done once for this release, and never again.
options:
  release: {description: Folder of the release., type: path, required: true}
  user: {description: User to run as., type: str, required: true}
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
    release: /srv/shop/releases/0123456789ab-c0ffee
    user: shop
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

_LAST_LINES = 20
_TRACEBACK = "Traceback (most recent call last):"
# At the beginning of its line: `ValueError: …`, `sqlalchemy.exc.OperationalError: …`.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Timeout|NotFound)\b")


def run(module: AnsibleModule, command: str, seconds: int) -> list[str]:
    """Run one command; its output lines. Fails the module when the command does."""
    options = module.params
    folder = Path(options["release"])
    unit = f"outport-command-{time.time_ns()}.service"
    whole = [
        *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", f"--unit={unit}"),
        *(f"--uid={options['user']}", f"--gid={options['user']}", f"--working-directory={folder / 'app'}"),
        *(f"--property=EnvironmentFile={folder / 'environment'}", f"--property=RuntimeMaxSec={seconds}"),
        *("--property=ProtectSystem=strict", "--property=PrivateTmp=yes", "--property=NoNewPrivileges=yes"),
        *(str(folder / "venv/bin/python"), options["launcher"], "--", *words_of(module, command)),
    ]
    began = time.monotonic()
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        ended = f"code {done.returncode}"
        if time.monotonic() - began >= seconds:
            ended = f"no end within {seconds} seconds"
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        # Ansible shows the message twice, so that the log stands alone.
        module.fail_json(
            msg=f"The command '{command}' failed ({ended}): {cause(lines)}", log="\n".join(lines[-_LAST_LINES:])
        )
    return done.stdout.splitlines()


def cause(lines: list[str]) -> str:
    """Return the app's own error: the exception that a traceback ends with, else the last line."""
    errors = [line for line in lines if _EXCEPTION.match(line)] if _TRACEBACK in lines else []
    return (errors or lines or ["it wrote nothing"])[-1].strip()


def words_of(module: AnsibleModule, command: str) -> list[str]:
    """The words of a command, as a shell splits them; fails the module when a quote is not closed."""
    try:
        return shlex.split(command)
    except ValueError as error:
        module.fail_json(msg=f"The command '{command}' can't be read: {error}.")
        raise


def question(module: AnsibleModule) -> str:
    """The first word of the last line that the question's command writes; empty without a question or an answer."""
    if not module.params["question"]:
        return ""
    lines = [line for line in run(module, module.params["question"], module.params["timeout"]) if line.strip()]
    return lines[-1].split()[0] if lines else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "launcher": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "str", "default": []},
            "question": {"type": "str", "default": ""},
            "once": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    options: dict[str, Any] = module.params
    folder, began = Path(options["release"]), time.monotonic()
    marker = folder / ".set-up"
    if module.check_mode:
        module.exit_json(
            changed=bool(options["commands"]) and not (options["once"] and marker.exists()), answer="", seconds=0
        )
    # A run that was cut off may still be at work here; what it finishes is not done again.
    with (folder.parent / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if options["once"] and marker.exists():
            module.exit_json(changed=False, answer=marker.read_text().strip(), seconds=0)
        for command in options["commands"]:
            run(module, command, options["timeout"])
        answer = question(module)
        if options["once"]:
            marker.write_text(answer)
    module.exit_json(changed=bool(options["commands"]), answer=answer, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
