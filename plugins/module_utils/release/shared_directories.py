"""Shared directories: paths of the app that its processes may write to, outside the releases and linked into each."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError

_FIX = "Fix python_app_shared_directories (the setting app_shared_directories), or the app, and run this again."


def link_shared(context: Context) -> None:
    """Replace each shared directory of the release with a link; one that is missing is created with what the app has there.

    Raises ReleaseError when the app has something else than a directory there.
    """
    for path in context.params["shared_directories"]:
        place, target = context.release.app / path, context.app.shared / path
        _check(context, path)
        if not target.is_dir():
            _create(context, target, place)
        _set_group(context, target, path)
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(target, place.parent))


def _check(context: Context, path: str) -> None:
    """Raise ReleaseError when the path, or a directory above it, is not a directory of the app."""
    place = context.release.app
    for part in Path(path).parts:
        place /= part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            what = "a link" if place.is_symlink() else "a file"
            shown = place.relative_to(context.release.app)
            raise ReleaseError(f"'{path}' can't be a shared directory: the app's '{shown}' is {what}.", _FIX)


def _create(context: Context, target: Path, place: Path) -> None:
    """Create a shared directory of the app's user, with the content of `place` if that exists."""
    user = pwd.getpwnam(context.app.name)
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    if place.is_dir():
        shutil.copytree(place, part, symlinks=True)
    else:
        part.mkdir()
    for directory, _, names in os.walk(part):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            os.lchown(path, user.pw_uid, user.pw_gid)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & 0o750 | 0o600)
    part.rename(target)


def _set_group(context: Context, target: Path, path: str) -> None:
    """Let the proxy read a directory that it serves, and nobody else."""
    user = pwd.getpwnam(context.app.name)
    served = any(_overlap(path, other) for other in context.params["served_directories"])
    group = grp.getgrnam(context.params["proxy_group"]).gr_gid if served else user.pw_gid
    if target.stat().st_gid == group:
        return
    # As the app's user, who could replace a file with a link meanwhile. New files inherit the group of their directory.
    script = 'chgrp -R "$1" "$2" && chmod -R g+rX "$2" && find "$2" -type d -exec chmod g+s {} +'
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(group), str(target)],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[group],
        cwd="/",
        check=True,
        timeout=600,
    )


def _overlap(one: str, other: str) -> bool:
    """Return whether a directory is another one, inside it, or above it."""
    first, second = Path(one), Path(other)
    return first.is_relative_to(second) or second.is_relative_to(first)
