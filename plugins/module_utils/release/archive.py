"""The archive of a release for other hosts: its lock file, and the wheels that had to be built from source.

The other hosts install from it without resolving or building again.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from ansible.module_utils.release.commands import need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import BUILDER_CACHE
from ansible.module_utils.release.requirements import normalized, pins_in

_LOCK, _WHEELS = "requirements.lock", "wheels.tar"
_FIX = "Fix the cause above, and run this again."


def pack(context: Context) -> str:
    """Return the path of the release's archive, written unless it exists; empty when the option `share` is false."""
    archive, requirements = context.release.archive, context.release.requirements
    if not context.params["share"] or not requirements.exists():
        return ""
    if not archive.exists():
        part = archive.with_suffix(".part")
        private = partial(os.open, mode=0o600)
        with open(part, "wb", opener=private) as file, tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(requirements, _LOCK)
            if wheels := _built_wheels(context, requirements.read_text()):
                member = tarfile.TarInfo(_WHEELS)
                member.size = len(wheels)
                tar.addfile(member, io.BytesIO(wheels))
        part.rename(archive)
    return str(archive)


def _built_wheels(context: Context, lock: str) -> bytes:
    """Return a tar of the wheels that this host built for packages of a lock file; empty without any."""
    newest: dict[str, str] = {}
    for name, version in pins_in(lock):
        for index in ("pypi", "index/*"):
            pattern = f"sdists-v*/{index}/{name}/{glob.escape(version)}/**/*.whl"
            for path in sorted(glob.glob(pattern, root_dir=BUILDER_CACHE, recursive=True), key=_written):
                newest[Path(path).name] = path
    if not newest:
        return b""
    # As the builder, who owns the cache: a link in it must not expose root's files.
    command = ["tar", "--create", "--file=-", "--transform=s,.*/,,", *newest.values()]
    with tempfile.TemporaryFile() as out:
        result = context.builder.run(command, BUILDER_CACHE, stdout=out)
        need(result, "The built wheels could not be packed.", _FIX)
        out.seek(0)
        return out.read()


def _written(path: str) -> int:
    """Return when a file of the cache was written, in ns."""
    return os.lstat(BUILDER_CACHE / path).st_mtime_ns


def unpack(context: Context) -> str:
    """Return the lock file of another host's archive; its wheels go to a directory of this build, never into the cache.

    Raises ReleaseError when the archive is incomplete.
    """
    with tarfile.open(context.params["archive"]) as tar:
        members = {name: tar.extractfile(name) for name in tar.getnames()}
        lock, wheels = members.get(_LOCK), members.get(_WHEELS)
        if not lock:
            raise ReleaseError(f"{context.params['archive']} has no {_LOCK}.", "Run this again, with the first host.")
        if wheels:
            directory = context.builder.make_directory(_received(context))
            with tempfile.TemporaryFile() as file:
                shutil.copyfileobj(wheels, file)
                file.seek(0)
                # As the builder, so that the archive can only write where a build may write.
                command = ["tar", "--extract", "--no-same-owner", "--file=-"]
                result = context.builder.run(command, directory, stdin=file)
                need(result, "The archive's wheels could not be unpacked.", _FIX)
        return lock.read().decode()


def install_received(context: Context, lock: str, options: list[str]) -> None:
    """Install those received wheels that fit this host; `options` are those of `uv pip install`.

    One for another processor or another Python fails, and is built from source later, as on a host without an archive.
    """
    directory = _received(context)
    if not directory.is_dir():
        return
    found = {normalized(name.split("-")[0]) for name in os.listdir(directory)}
    install = [context.tools.uv, "pip", "install", "--no-deps", "--no-index", f"--find-links={directory}", *options]
    for name, version in pins_in(lock):
        if name in found:
            context.builder.run([*install, f"{name}=={version}"])


def _received(context: Context) -> Path:
    """Return the directory of another host's wheels during this build."""
    return context.release.work / "wheels"
