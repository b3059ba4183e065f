"""What a release writes to the journal, and the part of it that matters in a message."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

_TIMEOUT = 180
_LAST_LINES = 20
# What stands between the app's own words: gunicorn's good news, how its own code got there, and how it then ends itself.
_NEWS = re.compile(r"\[\d{4}-\d\d-\d\d [^]]*\] \[\d+\] \[INFO\]")
_OWN_FRAME = re.compile(
    r'  File "(?:<frozen importlib|[^"]*/site-packages/gunicorn/|[^"]*/bin/gunicorn"|[^"]*/importlib/)'
)
_OWN_END = re.compile(r"gunicorn\.errors\.HaltServer|During handling of the above exception")
_TRACEBACK = "Traceback (most recent call last):"
# All that is left of the way in which gunicorn ends itself.
_OWN_WAY = [_TRACEBACK, "StopIteration"]
# Lines that differ in these alone say the same: numbers of processes, times, ids of requests.
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")


def lines_of(unit: str, since: float) -> list[str]:
    """The lines that a unit wrote since a time (seconds since 1970), without what systemd reports about it."""
    command = ["journalctl", "--no-pager", "--output=cat", f"--since=@{int(since)}", f"_SYSTEMD_UNIT={unit}"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]


def excerpt(lines: Iterable[str]) -> str:
    """The end of what an app wrote, as a message shows it."""
    return "\n".join(f"  {line}" for line in essence(lines)[-_LAST_LINES:]) or "  (it wrote nothing)"


def essence(lines: Iterable[str]) -> list[str]:
    """What an app said, each thing once, in the order in which it was said first; without gunicorn's part in it."""
    told: dict[str, list[str]] = {}
    for block in _blocks(lines):
        if not (_NEWS.match(block[0]) or _OWN_END.match(block[-1]) or block == _OWN_WAY):
            told.setdefault(_VARYING.sub("#", "\n".join(block)), block)
    return [line for block in told.values() for line in block]


def _blocks(lines: Iterable[str]) -> list[list[str]]:
    """The lines, those of a traceback together and without gunicorn's frames."""
    blocks: list[list[str]] = []
    within = own = False
    for line in lines:
        if line.startswith("  File ") or not line.startswith("    "):
            own = bool(_OWN_FRAME.match(line))
        if not within or line == _TRACEBACK:
            blocks.append([])
        if not own:
            blocks[-1].append(line)
        # Its first line that is not indented ends a traceback.
        within = line == _TRACEBACK or (within and line.startswith("  "))
    return [block for block in blocks if block]
