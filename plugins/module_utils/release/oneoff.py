"""One-off commands of a release, such as its migrations: as the app's user, with its settings and secrets, in a sandbox."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from dataclasses import dataclass

from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.explain import advice
from ansible.module_utils.release.layout import App, Release

_LAST_LINES = 20
_TRACEBACK = "Traceback (most recent call last):"
# At the beginning of its line: `ValueError: …`, `sqlalchemy.exc.OperationalError: …`.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Timeout|NotFound)\b")


class CommandError(ReleaseError):
    """A command that failed; `log` has the last lines of its output."""

    def __init__(self, cause: str, log: str = "") -> None:
        super().__init__(cause)
        self.log = log


@dataclass(frozen=True)
class Runner:
    """Runs commands in a release, each with a time limit of `timeout` seconds; `launcher` starts them with the release's secrets."""

    app: App
    release: Release
    launcher: str
    timeout: int

    def run(self, command: str) -> list[str]:
        """Run one command and return the lines of its output. Raises CommandError when it fails."""
        directory = self.release
        unit = f"outport-command-{time.time_ns()}.service"
        whole = [
            *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", f"--unit={unit}"),
            *(f"--uid={self.app.name}", f"--gid={self.app.name}", f"--working-directory={directory.app}"),
            *(f"--property=EnvironmentFile={directory.environment}", f"--property=RuntimeMaxSec={self.timeout}"),
            *("--property=ProtectSystem=strict", "--property=PrivateTmp=yes", "--property=NoNewPrivileges=yes"),
            *(f"--property=ReadWritePaths=-{self.app.shared}", "--property=UMask=0027"),
            *(str(directory.venv / "bin/python"), self.launcher, "--", *words_of(command)),
        ]
        began = time.monotonic()
        done = subprocess.run(whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            ended = f"exit code {done.returncode}"
            if time.monotonic() - began >= self.timeout:
                ended = f"time limit of {self.timeout} s exceeded"
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            message = f"The command '{command}' failed ({ended}): {cause(lines)}"
            fix = advice(lines, directory.app)
            raise CommandError("\n".join(filter(None, [message, fix])), "\n".join(lines[-_LAST_LINES:]))
        return done.stdout.splitlines()

    def revision(self, command: str) -> str:
        """Return the first word of the last line that a command prints; empty without a command or a line."""
        lines = [line for line in self.run(command) if line.strip()] if command else []
        return lines[-1].split()[0] if lines else ""


def cause(lines: list[str]) -> str:
    """Return the app's own error: the exception that a traceback ends with, else the last line."""
    errors = [line for line in lines if _EXCEPTION.match(line)] if _TRACEBACK in lines else []
    return (errors or lines or ["no output"])[-1].strip()


def words_of(command: str) -> list[str]:
    """Split a command into words as a shell does. Raises CommandError when a quote is not closed."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise CommandError(f"The command '{command}' can't be parsed: {error}.") from None
