"""A release's log in the journal, and the excerpt of it for an error message."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

_TIMEOUT = 180
_LAST_LINES = 20
# Noise around the app's own lines: gunicorn's informational lines, its stack frames, and the traceback of its own exit.
_INFO = re.compile(r"\[\d{4}-\d\d-\d\d [^]]*\] \[\d+\] \[INFO\]")
_GUNICORN_FRAME = re.compile(
    r'  File "(?:<frozen importlib|[^"]*/site-packages/gunicorn/|[^"]*/bin/gunicorn"|[^"]*/importlib/)'
)
_GUNICORN_EXIT = re.compile(r"gunicorn\.errors\.HaltServer|During handling of the above exception")
_TRACEBACK = "Traceback (most recent call last):"
# What remains of the traceback of gunicorn's own exit.
_GUNICORN_TRACEBACK = [_TRACEBACK, "StopIteration"]
# Lines that differ only in these are duplicates: process ids, times, request ids.
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")


def lines_of(unit: str, since: float) -> list[str]:
    """Return the lines that a unit logged since a time (seconds since 1970), without systemd's own."""
    command = ["journalctl", "--no-pager", "--output=cat", f"--since=@{int(since)}", f"_SYSTEMD_UNIT={unit}"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]


def excerpt(lines: Iterable[str]) -> str:
    """Return the end of an app's log, indented for a message."""
    return "\n".join(f"  {line}" for line in essence(lines)[-_LAST_LINES:]) or "  (the log is empty)"


def essence(lines: Iterable[str]) -> list[str]:
    """Return an app's lines without duplicates and without gunicorn's noise, in their original order."""
    unique: dict[str, list[str]] = {}
    for block in _blocks(lines):
        if not (_INFO.match(block[0]) or _GUNICORN_EXIT.match(block[-1]) or block == _GUNICORN_TRACEBACK):
            unique.setdefault(_VARYING.sub("#", "\n".join(block)), block)
    return [line for block in unique.values() for line in block]


def _blocks(lines: Iterable[str]) -> list[list[str]]:
    """Return the lines in blocks, a traceback being one block without gunicorn's frames."""
    blocks: list[list[str]] = []
    within = own = False
    for line in lines:
        if line.startswith("  File ") or not line.startswith("    "):
            own = bool(_GUNICORN_FRAME.match(line))
        if not within or line == _TRACEBACK:
            blocks.append([])
        if not own:
            blocks[-1].append(line)
        # A traceback ends with its first line that is not indented.
        within = line == _TRACEBACK or (within and line.startswith("  "))
    return [block for block in blocks if block]
