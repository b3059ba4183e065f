"""Secrets of a deploy, decrypted on the host with its IAM role, and kept in memory only."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.release.builder import BUILDER
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError

# A file system in memory.
_MEMORY = Path("/run")


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
    file = _MEMORY / f"outport-netrc-{context.app.name}"
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
