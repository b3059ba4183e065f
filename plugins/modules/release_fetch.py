#!/usr/bin/python
"""Ansible module: fetch an app's git repository to a host, and resolve the ref to deploy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.lock import locked
from ansible.module_utils.release.repository import Repository
from ansible.module_utils.release.secrets import repository_access

DOCUMENTATION = r"""
module: release_fetch
short_description: Fetch an app's git repository
description:
  - Fetches all branches and tags to a bare clone in ROOT/repository.git, with the submodules of the commit and its files in Git LFS.
  - A commit that the clone has already needs no network, unless it has submodules or files in Git LFS that are missing.
options:
  name: {description: Name of the app., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  url: {description: URL of the repository., type: str, required: true}
  ref: {description: "Branch, tag, commit id (abbreviated or not) or whole name of a ref.", type: str, required: true}
  subdir: {description: Directory of the app in the repository; submodules outside of it are not fetched., type: str, default: ""}
  keys:
    description:
      - SSH private keys, by the URL of their repository; with an empty one for all others. They are in files in memory, which are removed at the end.
    type: dict
    default: {}
  user: {description: "User name for https, with O(token).", type: str, default: git}
  token: {description: "KMS ciphertext (base64) of the token or password for https; empty for none.", type: str, default: ""}
  launcher: {description: Program next to which the one that decrypts is., type: path, default: /opt/outport/launch}
  kms: {description: "How to decrypt the token: region, endpoint_url (empty for Amazon's own) and context.", type: dict, default: {}}
author: [Outport]
"""

EXAMPLES = r"""
- name: Fetch the app
  release_fetch:
    name: shop
    root: /srv/shop
    url: https://git.example.org/shop.git
    ref: main
"""

RETURN = r"""
commit: {description: Id of the commit., type: str, returned: success}
python: {description: "Version of the host's own Python, such as 3.13.", type: str, returned: success}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "url": {"type": "str", "required": True},
            "ref": {"type": "str", "required": True},
            "subdir": {"type": "str", "default": ""},
            "keys": {"type": "dict", "default": {}, "no_log": True},
            "user": {"type": "str", "default": "git"},
            "token": {"type": "str", "default": "", "no_log": False},
            "launcher": {"type": "path", "default": "/opt/outport/launch"},
            "kms": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = module.params
    os.umask(0o022)
    app = App(options["name"], Path(options["root"]))
    # Modules run with it.
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        with repository_access(options) as access:
            repository = Repository(app.repository, options["url"], access)
            if module.check_mode:
                module.exit_json(changed=False, commit=repository.find_remotely(options["ref"]), python=python)
            with locked(app, f"fetch of {options['ref']}"):
                before = repository.head()
                commit = repository.fetch(options["ref"], options["subdir"])
                app.remove_former_clone()
    except ReleaseError as error:
        module.fail_json(msg=f"{error}\nThe previous release is still live.")
    module.exit_json(changed=commit != before, commit=commit, python=python)


if __name__ == "__main__":
    main()
