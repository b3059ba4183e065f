"""Files of a release: written as a whole, owned by root, and marked as complete."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible.module_utils.release.commands import run


def own(path: str) -> None:
    """Make root the owner of a tree: others may read everything and write nothing.

    From the top down, so that nobody can change what root owns already. Sockets and pipes are removed.
    """
    found = os.lstat(path)
    os.lchown(path, 0, 0)
    if stat.S_ISLNK(found.st_mode):
        return
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        os.unlink(path)
        return
    readable = 0o555 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o100 else 0o444
    os.chmod(path, (stat.S_IMODE(found.st_mode) | readable) & 0o755)
    if stat.S_ISDIR(found.st_mode):
        for entry in os.scandir(path):
            own(entry.path)


def write(path: Path, text: str) -> None:
    """Replace a file atomically: an interrupted run leaves the old one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.rename(path)


def finish(marker: Path) -> None:
    """Write the marker that its directory is complete, once everything is on the disk."""
    run(["sync", "--file-system", str(marker.parent)])
    marker.touch()
