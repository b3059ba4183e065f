#!/usr/bin/python
"""Ansible module: list the releases of a host, and choose one to roll back to."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release import history, listing
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App

DOCUMENTATION = r"""
module: release_list
short_description: List the releases of an app
description:
  - Lists the releases, newest first. With O(choose), also finds the one to roll back to, or fails with the choices.
options:
  name: {description: Name of the app., type: str, required: true}
  root: {description: Directory of the app., type: path, required: true}
  choose: {description: "Id of a release, a unique prefix of it, or previous; empty only lists.", type: str, default: ""}
  include_live: {description: Whether the live release may be chosen., type: bool, default: false}
author: [Outport]
"""

EXAMPLES = r"""
- name: Find the previous release
  release_list:
    name: shop
    root: /srv/shop
    choose: previous
"""

RETURN = r"""
releases:
  description: >-
    Dicts of release, commit, subject, ref, built, by, schema, proved and state: live, previous, kept, never live, rolled back, refused or incomplete.
  type: list
  returned: success
live: {description: The live release; empty for none., type: str, returned: success}
chosen: {description: The chosen release; empty without O(choose)., type: str, returned: success}
history: {description: The last switches, newest first., type: list, returned: success}
rolled_back:
  description: Releases and commits (12 digits) that were rolled back and not deployed since, each with the rollback's entry in the history.
  type: dict
  returned: success
"""

_HISTORY = 10


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "choose": {"type": "str", "default": ""},
            "include_live": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app, wanted = App(module.params["name"], Path(module.params["root"])), module.params["choose"]
    found, switches = listing.releases(app), history.entries(app)
    try:
        chosen = listing.choose(app, found, wanted, module.params["include_live"]) if wanted else ""
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        releases=found,
        live=app.named_by(app.live),
        chosen=chosen,
        history=switches[: -_HISTORY - 1 : -1],
        rolled_back=history.rolled_back(switches),
    )


if __name__ == "__main__":
    main()
