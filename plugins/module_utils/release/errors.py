"""Errors of a release: the cause in one sentence, the last lines of output, and how to fix it."""

from __future__ import annotations

_LAST_LINES = 15


class ReleaseError(Exception):
    """A release that can't be built, run or switched to.

    `cause` is one sentence, `fix` is how to fix it (empty where the caller adds it), `output` is a command's; its last lines are shown.
    """

    def __init__(self, cause: str, fix: str = "", output: str = "") -> None:
        lines = [f"  {line.rstrip()}" for line in output.splitlines() if line.strip()]
        super().__init__("\n".join(part for part in [cause, *lines[-_LAST_LINES:], fix] if part))
        self.cause = cause
