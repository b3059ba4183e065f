"""The systemd commands that releases need."""

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
    """Return the loaded units that match."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    return [line.split()[0] for line in lines.splitlines()]


@dataclass(frozen=True)
class State:
    """The state of a unit: `process` is the main process id, 0 for none; `elsewhere` if it belongs to a target that is not active on this host."""

    active: str
    result: str
    process: int
    restarts: int
    elsewhere: bool = False

    @property
    def ended(self) -> str:
        """The result of its last exit, in brackets; empty for success."""
        return f" ({self.result})" if self.result != "success" else ""


def state_of(unit: str) -> State:
    """Return the state of a unit, which need not exist."""
    command = ["systemctl", "show", "--property=ActiveState,Result,MainPID,NRestarts,PartOf", unit]
    text = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    active = found["ActiveState"]
    elsewhere = active == "inactive" and any(state_of(whole).active != "active" for whole in found["PartOf"].split())
    # A socket has neither a process nor restarts, and a target has no result.
    return State(
        active, found.get("Result", "success"), int(found.get("MainPID", 0)), int(found.get("NRestarts", 0)), elsewhere
    )
