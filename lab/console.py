"""Progress output: one line per step with its elapsed time, updated in place on a terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.layout import LOGS

# Lines of a failed step's log: those of a playbook end with the cause, which can have the app's last log lines.
_TAIL = 50


class LabError(Exception):
    """An error that the user can fix; the message has the cause and the fix."""


class Step:
    """A running step: `log` is the path of its log, `note` a short text about its progress."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.note = ""


def _seconds(since: float) -> str:
    seconds = time.monotonic() - since
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


@contextmanager
def step(title: str, log_name: str) -> Iterator[Step]:
    """Show `title` with its elapsed time while the block runs; on LabError, also show the end of the step's log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    state = Step(LOGS / f"{log_name}.log")
    state.log.write_text("")
    terminal = sys.stdout.isatty()
    began = time.monotonic()
    done = threading.Event()

    def show() -> None:
        while not done.wait(0.2):
            print(f"\r\033[K… {title}  {_seconds(began)}  {state.note[:60]}", end="", flush=True)

    display = threading.Thread(target=show, daemon=True)
    if terminal:
        display.start()
    else:
        print(f"… {title}", flush=True)
    mark = "✗"
    try:
        yield state
        mark = "✓"
    finally:
        done.set()
        if terminal:
            display.join()
            print("\r\033[K", end="")
        print(f"{mark} {title}  {_seconds(began)}", flush=True)
        if mark == "✗" and state.log.exists() and state.log.stat().st_size:
            tail = state.log.read_text(errors="replace").splitlines()[-_TAIL:]
            print("\n".join([*(f"  | {line}" for line in tail), f"  The complete log: {state.log}"]), flush=True)
