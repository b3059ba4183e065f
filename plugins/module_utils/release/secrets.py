"""Secrets of a deploy, decrypted on the host with its IAM role."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.release.errors import ReleaseError


def decrypted(launcher: str, kms: dict[str, Any], name: str, ciphertext: str) -> str:
    """Return the plain text of the setting `name`; empty for an empty ciphertext.

    `launcher` is the path of the program next to which `decrypt` is. Raises ReleaseError when it can't be decrypted.
    """
    if not ciphertext:
        return ""
    program = Path(launcher).with_name("decrypt")
    wanted = json.dumps(kms | {"secrets": {name: ciphertext}})
    done = subprocess.run(
        [str(program), "/dev/stdin"], input=wanted, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ReleaseError(f"{name} can't be decrypted.", "", done.stderr)
    return json.loads(done.stdout)[name]
