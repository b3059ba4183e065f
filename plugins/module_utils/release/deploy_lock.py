"""The lock of a playbook run: one change of an app's releases at a time, from whichever control machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.release.errors import ReleaseError


def ago(seconds: float) -> str:
    """Return a time span as a person says it."""
    minutes = int(seconds // 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{int(seconds)} s"
    )


def read(path: Path) -> dict[str, Any] | None:
    """Return who has the lock; None when nobody has."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def is_own(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Tell whether the lock is this very run's."""
    return all(held[name] == holder[name] for name in ("machine", "process"))


def is_stale(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Tell whether the lock is of a run on the same machine that is no more."""
    return held["machine"] == holder["machine"] and held["process"] not in holder["sessions"]


def take(path: Path, entry: dict[str, Any]) -> bool:
    """Make the lock in one step, with its content; False when somebody was faster."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(entry))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def acquire(path: Path, holder: dict[str, Any], purpose: str, force: bool) -> str:
    """Take the lock for a run; from whom a stale lock was taken over (user@machine), empty for nobody.

    Raises ReleaseError, with who holds it and since when.
    """
    held, broken = read(path), ""
    if held and (is_own(held, holder) or is_stale(held, holder) or force):
        broken = "" if is_own(held, holder) else f"{held['user']}@{held['machine']}"
        path.unlink(missing_ok=True)
        held = None
    entry = {name: holder[name] for name in ("user", "machine", "process")}
    if held or not take(path, {**entry, "purpose": purpose, "since": time.time()}):
        held = read(path) or {"user": "somebody", "machine": "?", "purpose": "", "since": time.time()}
        raise ReleaseError(
            f"Another run is at work: {held['purpose']} by {held['user']}@{held['machine']}, since {ago(time.time() - held['since'])}."
            " Nothing was changed. Wait for it; if it is no more, break its lock: run this again with -e break_lock=true"
        )
    return broken


def release(path: Path, holder: dict[str, Any]) -> None:
    """Give the lock back if it is this run's. Safe to repeat."""
    held = read(path)
    if held and is_own(held, holder):
        path.unlink()
