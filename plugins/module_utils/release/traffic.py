"""The traffic in a proxy's access log: number of requests, failures and response times."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# How much of the log's end is read for the baseline before a switch, bytes.
_TAIL = 4 * 1024 * 1024
_SERVER_ERROR = 500


@dataclass
class Traffic:
    """Requests of a time span; `seconds` has the response time of each one that reached the app, `slowest` (seconds) is of all."""

    requests: int = 0
    failed: int = 0
    app_requests: int = 0
    app_failed: int = 0
    slowest: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def add(self, entry: dict[str, Any]) -> None:
        """Count one line of the log."""
        status, seconds = int(entry["status"]), float(entry["seconds"])
        self.requests += 1
        self.failed += status >= _SERVER_ERROR
        self.slowest = max(self.slowest, seconds)
        if entry["app_status"]:
            self.app_requests += 1
            self.app_failed += status >= _SERVER_ERROR
            self.seconds.append(seconds)

    @property
    def error_rate(self) -> float:
        """Share of the app's responses that are errors, percent."""
        return 100 * self.app_failed / self.app_requests if self.app_requests else 0.0

    @property
    def median(self) -> float:
        """Median response time of the app, seconds; 0 without requests."""
        return sorted(self.seconds)[len(self.seconds) // 2] if self.seconds else 0.0

    @property
    def late_median(self) -> float:
        """Median response time of the second half, because a new release is slow at first."""
        return Traffic(seconds=self.seconds[len(self.seconds) // 2 :]).median

    def summary(self) -> dict[str, Any]:
        """Return the numbers for the result."""
        return {"requests": self.requests, "failed": self.failed, "slowest_ms": round(self.slowest * 1000)}


class AccessLog:
    """A growing log in JSON lines with `at` (seconds since 1970, end of the request), `status`, `seconds`, `app_status`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._inode = self._offset = 0
        self._skip_to_end()

    def _skip_to_end(self) -> None:
        if self._path and self._path.exists():
            found = self._path.stat()
            self._inode, self._offset = found.st_ino, found.st_size

    def since(self, start: float) -> Traffic:
        """Return the traffic from `start` (seconds since 1970) up to now."""
        traffic = Traffic()
        if self._path and self._path.exists():
            with self._path.open("rb") as log:
                log.seek(max(0, self._path.stat().st_size - _TAIL))
                for entry in _entries(log.read()):
                    if entry["at"] >= start:
                        traffic.add(entry)
        return traffic

    def follow(self, traffic: Traffic, began: float) -> None:
        """Add to `traffic` the requests logged since the last call that began at `began` (seconds since 1970) or later."""
        if not self._path or not self._path.exists():
            return
        found = self._path.stat()
        if found.st_ino != self._inode or found.st_size < self._offset:
            # The log was rotated: the new file is read from its beginning.
            self._inode, self._offset = found.st_ino, 0
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for entry in _entries(whole):
            if entry["at"] - entry["seconds"] >= began:
                traffic.add(entry)


def _entries(text: bytes) -> list[dict[str, Any]]:
    """Return the valid entries: the first line may be incomplete, and an older log may have another format."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"at", "status", "seconds", "app_status"} <= entry.keys():
            found.append(entry)
    return found
