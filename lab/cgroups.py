"""The lab's own control group contains all of its processes: killing the group stops them all, and nothing else."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab.console import LabError
from lab.layout import CGROUP

_ROOT = Path("/sys/fs/cgroup")


def _hierarchies() -> list[Path]:
    """Return the roots: the v2 hierarchy first, and systemd's own on a machine with the hybrid layout."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    if (_ROOT / "unified" / "cgroup.controllers").exists():
        return [_ROOT / "unified", _ROOT / "systemd"]
    raise LabError(
        "The lab needs control groups version 2 (a kernel from 5.14, mounted at /sys/fs/cgroup); found none."
    )


def check() -> None:
    """Raise LabError when this machine's kernel has no usable control groups."""
    _hierarchies()


def spawn(
    name: str, argv: Sequence[str | Path], log: Path, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in the control group `name`, in a new session, with its output appended to `log`."""
    groups = [hierarchy / CGROUP / name for hierarchy in _hierarchies()]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    enter = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in groups)
    with log.open("ab") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", f'set -e; {enter}; exec "$@"', "sh", *[str(part) for part in argv]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=env,
        )


def alive(name: str) -> bool:
    """Return whether the group `name` (or, with an empty name, the lab) has a process."""
    events = _hierarchies()[0] / CGROUP / name / "cgroup.events"
    return events.exists() and "populated 1" in events.read_text()


def kill(name: str = "") -> None:
    """Kill every process of the group `name`, or of the whole lab, and remove the group. Raises LabError when one remains after 10 seconds."""
    base = _hierarchies()[0] / CGROUP / name
    if (base / "cgroup.kill").exists():
        (base / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 10
        while alive(name):
            if time.monotonic() > deadline:
                raise LabError(f"A process of the control group {base} could not be killed. See {base}/cgroup.procs.")
            time.sleep(0.05)
    for hierarchy in _hierarchies():
        group = hierarchy / CGROUP / name
        for directory in sorted(
            (path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)
        ):
            directory.rmdir()
        if group.exists():
            group.rmdir()


def run_to_end(name: str, argv: Sequence[str | Path], log: Path, timeout: float) -> None:
    """Run a program in the control group `name` to completion; remaining child processes are killed.

    Raises LabError when it fails or takes longer than `timeout` seconds.
    """
    process = spawn(name, argv, log)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise LabError(f"'{argv[0]}' timed out after {timeout:.0f} seconds.") from None
    finally:
        kill(name)
        process.wait()
    if code:
        raise LabError(f"'{' '.join(str(part) for part in argv)}' failed with exit code {code}.")
