"""Free disk space of a host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import BUILDER_CACHE, BUILDER_HOME, TOOLS


def mount_of(path: Path) -> Path:
    """Return the mount point that a path, which need not exist, is on."""
    path = path.resolve()
    while not (path.exists() and os.path.ismount(path)):
        path = path.parent
    return path


def free_mb(path: Path) -> int:
    """Return the free space of the file system that a path is on, in MB (10^6 bytes)."""
    return shutil.disk_usage(mount_of(path)).free // 1_000_000


def disk_full(output: str = "", *places: Path) -> ReleaseError:
    """Return the error for a full disk: it names the fullest file system of `places` and of those that every build writes to."""
    mounts = {mount_of(place) for place in (*places, BUILDER_HOME, TOOLS, Path("/srv"), Path("/tmp"))}
    fullest = min(mounts, key=free_mb)
    return ReleaseError(
        f"The disk is full: {fullest} has {free_mb(fullest)} MB left.",
        f"Free space on {fullest} ({BUILDER_CACHE} may be deleted), or enlarge the host's disk, and run this again.",
        output,
    )


def check_space(path: Path, minimum_mb: int) -> None:
    """Raise ReleaseError when the file system of `path` has less than `minimum_mb` MB free."""
    free = free_mb(path)
    if free < minimum_mb:
        raise ReleaseError(
            f"{mount_of(path)} has {free} MB free for {path}, and a build needs {minimum_mb} MB (python_app_minimum_free_mb).",
            "Free space there, keep fewer releases (python_app_keep) or a smaller build cache (python_app_cache_mb), "
            "or enlarge the host's disk, and run this again.",
        )
