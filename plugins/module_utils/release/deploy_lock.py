"""The deploy lock: one playbook run at a time changes an app's releases, from any control machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.release.errors import ReleaseError


def ago(seconds: float) -> str:
    """Return a time span in words."""
    minutes = int(seconds // 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{int(seconds)} s"
    )


def read(path: Path) -> dict[str, Any] | None:
    """Return the holder of the lock; None when it is free."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def is_own(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Return whether this run holds the lock."""
    return all(held[name] == holder[name] for name in ("machine", "process"))


def is_stale(held: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Return whether the lock is of a run on the same machine that has ended."""
    return held["machine"] == holder["machine"] and held["process"] not in holder["sessions"]


def take(path: Path, entry: dict[str, Any]) -> bool:
    """Create the lock with its content atomically. Returns False when another run was faster."""
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
    """Acquire the lock for a run. Returns the holder (user@machine) of a stale lock that was taken over, empty for none.

    Raises ReleaseError, which names the holder and the time since when, when another run holds it.
    """
    held, broken = read(path), ""
    if held and (is_own(held, holder) or is_stale(held, holder) or force):
        broken = "" if is_own(held, holder) else f"{held['user']}@{held['machine']}"
        path.unlink(missing_ok=True)
        held = None
    entry = {name: holder[name] for name in ("user", "machine", "process")}
    if held or not take(path, {**entry, "purpose": purpose, "since": time.time()}):
        held = read(path) or {"user": "unknown", "machine": "unknown", "purpose": "", "since": time.time()}
        raise ReleaseError(
            f"Another run holds the deploy lock: {held['purpose']} by {held['user']}@{held['machine']}, since {ago(time.time() - held['since'])}."
            " Nothing was changed. Wait until it ends. If it has ended, break its lock: run this again with -e break_lock=true"
        )
    return broken


def release(path: Path, holder: dict[str, Any]) -> None:
    """Release the lock if this run holds it. Safe to repeat."""
    held = read(path)
    if held and is_own(held, holder):
        path.unlink()
