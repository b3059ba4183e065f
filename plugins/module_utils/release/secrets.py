"""Secrets of a deploy, decrypted on the host with its IAM role, and kept in memory only."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.release.access import Access
from ansible.module_utils.release.builder import BUILDER
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError

# A file system in memory.
MEMORY = Path("/run")


def decrypted(launcher: str, kms: dict[str, Any], ciphertexts: dict[str, str]) -> dict[str, str]:
    """Return the plain texts of ciphertexts, by name.

    `launcher` is the path of the program next to which `decrypt` is. Raises ReleaseError when one can't be decrypted.
    """
    if not ciphertexts:
        return {}
    program, wanted = Path(launcher).with_name("decrypt"), json.dumps(kms | {"secrets": ciphertexts})
    done = subprocess.run(
        [str(program), "/dev/stdin"], input=wanted, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ReleaseError("A secret of the deploy can't be decrypted.", "", done.stderr)
    return json.loads(done.stdout)


@contextmanager
def repository_access(options: Mapping[str, Any], user: str = "root") -> Iterator[Access]:
    """Yield the access to repositories of a module's options: name, url, keys, user, token, launcher, kms. The commands of `user` can use it.

    Raises ReleaseError when the token can't be decrypted.
    """
    token = {"app_repository_token": options["token"]} if options["token"] else {}
    found = decrypted(options["launcher"], options["kms"], token)
    with key_files(options["name"], options["keys"], user) as keys:
        yield Access(options["url"], keys, options["user"], found.get("app_repository_token", ""))


@contextmanager
def key_files(name: str, keys: Mapping[str, str], user: str = "root") -> Iterator[dict[str, str]]:
    """Write the private keys of an app into files that a user can read; yield their paths, by the same names, and remove them."""
    for left in MEMORY.glob(f"outport-deploy-keys-{name}-*"):
        # Of a run that was killed.
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    directory = MEMORY / f"outport-deploy-keys-{name}-{os.getpid()}"
    if not keys:
        yield {}
        return
    owner = pwd.getpwnam(user)
    try:
        directory.mkdir(0o700)
        os.chown(directory, owner.pw_uid, owner.pw_gid)
        files = {}
        for number, (repository, key) in enumerate(keys.items()):
            files[repository] = str(directory / str(number))
            with open(files[repository], "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
                # ssh refuses a key without it.
                file.write(key.rstrip("\n") + "\n")
        yield files
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def index_credentials(context: Context) -> Iterator[None]:
    """Give the builder the passwords of the package indexes meanwhile; uv, pip and poetry read them from a netrc file."""
    params = context.params
    found = decrypted(params["launcher"], params["kms"], params["index_credentials"])
    if not found:
        yield
        return
    lines = []
    for host, text in found.items():
        user, colon, password = text.partition(":")
        if not colon or any(character.isspace() for character in text):
            raise ReleaseError(
                f"The credentials of the package index {host} are not USER:PASSWORD.",
                "Encrypt them again with playbooks/encrypt.yml, and fix app_index_credentials.",
            )
        lines.append(f"machine {host} login {user} password {password}\n")
    file = MEMORY / f"outport-netrc-{context.app.name}"
    file.unlink(missing_ok=True)
    try:
        with open(file, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as netrc:
            os.fchown(netrc.fileno(), pwd.getpwnam(BUILDER).pw_uid, 0)
            netrc.write("".join(lines))
        context.builder.netrc = file
        yield
    finally:
        context.builder.netrc = None
        file.unlink(missing_ok=True)
