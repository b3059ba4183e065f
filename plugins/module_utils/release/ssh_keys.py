"""SSH keys that read the repositories of a deploy: in memory while it runs, and each offered for its own repository only."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# A file system in memory.
MEMORY = Path("/run")
_SSH = "ssh -o BatchMode=yes"
_KNOWN = "-o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new"


@contextmanager
def in_memory(name: str, keys: Mapping[str, str], user: str = "root") -> Iterator[dict[str, str]]:
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


def variables(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which git reads each repository with the key of its own.

    keys: the files of private keys by the URL of their repository; "" for all other repositories.
    """
    if not keys:
        return {"GIT_SSH_COMMAND": _SSH}
    cases = [f"{shlex.quote(_place(url))}) set -- {_key(file)} ;;" for url, file in keys.items() if url]
    others = f"*) set -- {_key(keys[''])} ;;" if "" in keys else ""
    # Git's last arguments are USER@HOST and COMMAND 'PATH'. It can't be told from the host alone which repository is meant.
    select = (
        "outport_ssh() { "
        "for word; do to=$command; command=$word; done; "
        "path=${command#* }; path=${path#\\'}; path=${path#/}; path=${path%%[\\' ]*}; path=${path%/}; path=${path%.git}; "
        f'case "${{to##*@}}:$path" in {" ".join([*cases, others])} esac; '
        f'exec {_SSH} "$@"; }}; outport_ssh'
    )
    return {"GIT_SSH_COMMAND": select, "GIT_SSH_VARIANT": "ssh"}


def _key(file: str) -> str:
    return f'-i {shlex.quote(file)} {_KNOWN} "$@"'


def _place(url: str) -> str:
    """Return the host and the path of a repository at an SSH address, such as git.example.org:team/lib."""
    found = re.match(r"ssh://(?:[^@/]*@)?([^/:]+)(?::\d+)?/(.*)", url) or re.match(r"(?:[^@/]*@)?([^/:]+):(.*)", url)
    host, path = found.groups() if found else ("", url)
    return f"{host}:{path.strip('/').removesuffix('.git')}"
