"""How git reads the app's repository, and those that it refers to: by SSH keys, and by a token for https.

Each key is offered for its own repository only, and the token to the server of the app's repository only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_SSH = "ssh -o BatchMode=yes"
_KNOWN = "-o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new"


@dataclass(frozen=True)
class Access:
    """SSH keys: files by the URL of their repository, "" for all others. A user name and a token for the https server of `url`."""

    url: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    token: str = ""

    def variables(self, config: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables with which git reads repositories; `config` has more of its configuration."""
        found = dict(config or {})
        more = _ssh_variables(self.keys)
        if self.token:
            # Git asks this helper, so that the token is in no file and no argument.
            parts = urlsplit(self.url)
            helper = '!f() { echo "username=$OUTPORT_GIT_USER"; echo "password=$OUTPORT_GIT_TOKEN"; }; f'
            found[f"credential.{parts.scheme}://{parts.netloc}.helper"] = helper
            more |= {"OUTPORT_GIT_USER": self.user, "OUTPORT_GIT_TOKEN": self.token}
        for number, (name, value) in enumerate(found.items()):
            more |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return more | {"GIT_CONFIG_COUNT": str(len(found)), "GIT_TERMINAL_PROMPT": "0"}


def _ssh_variables(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which git reads each repository with the key of its own."""
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
