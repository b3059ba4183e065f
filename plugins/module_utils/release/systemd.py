"""Systemd, as far as releases need it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from ansible.module_utils.release.errors import ReleaseError

_TIMEOUT = 180


def systemctl(*arguments: str) -> None:
    """Run systemctl; ReleaseError with its output when it fails."""
    done = subprocess.run(
        ["systemctl", "--quiet", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    if done.returncode:
        raise ReleaseError(f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()}")


def listed(*patterns: str) -> list[str]:
    """The loaded units that match."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    return [line.split()[0] for line in lines.splitlines()]


@dataclass(frozen=True)
class State:
    """What systemd reports about a service; `process` is 0 when none runs."""

    active: str
    result: str
    process: int
    restarts: int

    @property
    def ended(self) -> str:
        """How it ended, in brackets; empty while systemd does not report it."""
        return f" ({self.result})" if self.result != "success" else ""


def state_of(unit: str) -> State:
    """The state of a unit, also of one that does not exist."""
    command = ["systemctl", "show", "--property=ActiveState,Result,MainPID,NRestarts", unit]
    text = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    # A socket has neither a process nor restarts.
    return State(found["ActiveState"], found["Result"], int(found.get("MainPID", 0)), int(found.get("NRestarts", 0)))
