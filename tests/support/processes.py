"""Processes with all that they started."""

import os
import signal
import subprocess
from contextlib import suppress


def kill(process: int) -> None:
    """Kill a process and its descendants: Ansible's workers have sessions of their own, so that its process group is not enough."""
    for number in [process, *_descendants(process)]:
        # A worker may end between the listing and the signal.
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _descendants(process: int) -> list[int]:
    """Return the descendants of a process."""
    lines = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()
    parents = {int(number): int(parent) for number, parent in (line.split() for line in lines)}
    found = [process]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found[1:]
