#!/usr/bin/python
"""Ansible module: build a release of a Python web app, from a commit of its clone to a locked virtual environment that releases share."""

from __future__ import annotations

import os
import re
import signal
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.build import build, preview
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError

DOCUMENTATION = r"""
module: release_build
short_description: Build a release of a Python web app
description:
  - Builds a commit of ROOT/repository.git in ROOT/releases/RELEASE, with a virtual environment in ROOT/venvs. Releases with the same lock share it.
  - Supports uv.lock, poetry.lock, requirements.txt, and pyproject.toml without a lock file; each becomes a requirements.lock with hashes.
  - The code of the app and of its dependencies runs as the user outport-build, never as root. A failed build leaves nothing.
  - Before a build, releases and environments that are no longer needed are removed, and the free space is checked.
options:
  name: {description: Name of the app; its units are NAME@RELEASE., type: str, required: true}
  root: {description: Directory of the app on the host., type: path, required: true}
  release: {description: Name of the release., type: str, required: true}
  commit: {description: Commit to build., type: str, required: true}
  ref: {description: "Branch, tag or commit that was requested.", type: str, default: ""}
  by: {description: Who requested the release., type: str, default: ""}
  subdir: {description: Directory of the app in the repository., type: str, default: ""}
  requirements: {description: File with the requirements in that directory; empty finds it., type: str, default: ""}
  extra_requirements: {description: "Requirements in addition to the app's, such as a driver.", type: list, elements: str, default: []}
  extras: {description: "Extras of the app's project.", type: list, elements: str, default: []}
  groups: {description: "Dependency groups of the app's project.", type: list, elements: str, default: []}
  index_credentials: {description: "Host names of package indexes and the KMS ciphertexts (base64) of USER:PASSWORD.", type: dict, default: {}}
  url: {description: "URL of the app's repository, on whose server git requirements are read with O(token).", type: str, default: ""}
  keys: {description: SSH private keys for git requirements; release_fetch has the same option., type: dict, default: {}}
  user: {description: "User name for https, with O(token).", type: str, default: git}
  token: {description: "KMS ciphertext (base64) of the token or password for https; empty for none.", type: str, default: ""}
  launcher: {description: Program next to which the one that decrypts is., type: path, default: /opt/outport/launch}
  kms: {description: "How to decrypt: region, endpoint_url (empty for Amazon's own) and context.", type: dict, default: {}}
  environment: {description: Environment variables of the commands before and after the build., type: dict, default: {}}
  python: {description: Version of Python; empty uses the host's own., type: str, default: ""}
  before_build: {description: Commands run before the requirements are read., type: list, elements: str, default: []}
  after_build: {description: Commands run when the environment is complete., type: list, elements: str, default: []}
  shared_directories: {description: "Directories of the app that it may write to, kept outside the releases.", type: list, elements: str, default: []}
  served_directories: {description: "Directories of the app that the proxy serves.", type: list, elements: str, default: []}
  proxy_group: {description: "Group of the proxy, which may read what is both shared and served.", type: str, default: www-data}
  files: {description: Additional files of the release and their contents., type: dict, default: {}}
  keep: {description: Number of complete releases that are kept., type: int, default: 5}
  cache_mb: {description: "Size from which on the build cache is emptied before a build, in MB.", type: int, default: 2000}
  minimum_free_mb: {description: "Free disk space required before a build, in MB.", type: int, default: 500}
  tools: {description: "Lock files of the build's tools: uv, poetry and gunicorn.", type: dict, required: true}
  share: {description: Whether to pack an archive that other hosts build from., type: bool, default: false}
  archive: {description: Archive of another host to build from; empty resolves the requirements on this host., type: path, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Build the release
  release_build:
    name: shop
    root: /srv/shop
    release: 0123456789ab-012345
    commit: 0123456789abcdef0123456789abcdef01234567
    tools: {uv: "{{ lookup('file', 'uv.txt') }}", poetry: "{{ lookup('file', 'poetry.txt') }}", gunicorn: "{{ lookup('file', 'gunicorn.txt') }}"}
"""

RETURN = r"""
seconds: {description: Duration in seconds., type: float, returned: success}
kind: {description: File that the requirements were in., type: str, returned: success}
subject: {description: First line of the commit's message., type: str, returned: success}
packages: {description: Packages in the environment., type: int, returned: success}
environment: {description: Name of the environment in ROOT/venvs., type: str, returned: success}
environment_reused: {description: Whether the environment existed before., type: bool, returned: success}
pruned: {description: Releases and environments that were removed., type: list, elements: str, returned: always}
archive: {description: Path of the archive that other hosts build from; empty without share., type: str, returned: success}
"""


def stop(number: int, _frame: object) -> NoReturn:
    """Exit in an orderly way, so that an incomplete release is removed."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "commit": {"type": "str", "required": True},
            "ref": {"type": "str", "default": ""},
            "by": {"type": "str", "default": ""},
            "subdir": {"type": "str", "default": ""},
            "requirements": {"type": "str", "default": ""},
            "extra_requirements": {"type": "list", "elements": "str", "default": []},
            "extras": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
            "index_credentials": {"type": "dict", "default": {}},
            "url": {"type": "str", "default": ""},
            "keys": {"type": "dict", "default": {}, "no_log": True},
            "user": {"type": "str", "default": "git"},
            "token": {"type": "str", "default": "", "no_log": False},
            "launcher": {"type": "path", "default": "/opt/outport/launch"},
            "kms": {"type": "dict", "default": {}},
            "environment": {"type": "dict", "default": {}},
            "python": {"type": "str", "default": ""},
            "before_build": {"type": "list", "elements": "str", "default": []},
            "after_build": {"type": "list", "elements": "str", "default": []},
            "shared_directories": {"type": "list", "elements": "str", "default": []},
            "served_directories": {"type": "list", "elements": "str", "default": []},
            "proxy_group": {"type": "str", "default": "www-data"},
            "files": {"type": "dict", "default": {}},
            "keep": {"type": "int", "default": 5},
            "cache_mb": {"type": "int", "default": 2000},
            "minimum_free_mb": {"type": "int", "default": 500},
            "tools": {"type": "dict", "required": True},
            "share": {"type": "bool", "default": False},
            "archive": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    # It becomes part of a path and of the name of a unit.
    release = module.params["release"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", release):
        module.fail_json(msg=f"'{release}' is not a valid release id: use letters, digits, '.', '_' and '-'.")
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    context = Context.of(dict(module.params))
    # The lock files would only bloat the result.
    module.params["tools"] = sorted(module.params["tools"])
    if module.check_mode:
        module.exit_json(**preview(context))
    try:
        result = build(context)
        for warning in context.warnings:
            module.warn(warning)
        module.exit_json(**result)
    except ReleaseError as error:
        module.fail_json(msg=f"Release {release} was not built. {error}", pruned=context.pruned)


if __name__ == "__main__":
    main()
