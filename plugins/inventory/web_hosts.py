"""Ansible inventory plugin `web_hosts`: the hosts of an environment, by amazon.aws.aws_ec2 and the environment's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader, vars_loader
from ansible.utils.vars import load_extra_vars

DOCUMENTATION = r"""
name: web_hosts
short_description: Hosts of one environment in EC2
description:
  - Queries EC2 with the plugin amazon.aws.aws_ec2, whose options it takes.
  - Adds the region, and filters by the tags of the app and the environment, from the settings next to the file.
  - Finds no host while one of these settings is missing, so that the check of the settings can report it.
options:
  plugin:
    description: Name of the plugin.
    required: true
    choices: [web_hosts]
  offline:
    description: Whether to find no host, without a call of AWS; for playbooks that need neither.
    type: bool
    default: false
    env:
      - name: OUTPORT_OFFLINE
"""

_QUERY = "amazon.aws.aws_ec2"
_REGION = "aws_region"
_TAGS = {"tag:Application": "app_name", "tag:Environment": "environment_name"}


class InventoryModule(BaseInventoryPlugin):
    """The plugin."""

    NAME = "web_hosts"

    def verify_file(self, path: str) -> bool:
        """Return whether a file has the plugin's options."""
        return super().verify_file(path) and Path(path).name == "aws_ec2.yml"

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the running hosts of the environment to the inventory."""
        super().parse(inventory, loader, path, cache)
        options = loader.load_from_file(path, cache="none", trusted_as_template=True)
        if not isinstance(options, dict) or options.get("plugin") != self.NAME:
            raise AnsibleParserError(
                f"{path}: found no 'plugin: {self.NAME}'. Replace the file with a copy of inventory/production/aws_ec2.yml"
            )
        self.set_options(direct={"plugin": self.NAME})
        if self.get_option("offline"):
            return
        settings = self._settings(path)
        if not all(settings.values()):
            self.display.vvv(f"web_hosts: no query, because a setting is missing: {settings}")
            return
        filters = {tag: settings[name] for tag, name in _TAGS.items()}
        query = options | {
            "plugin": _QUERY,
            "regions": [settings[_REGION]],
            "filters": filters | (options.get("filters") or {}),
        }
        inventory_loader.get(_QUERY).parse(inventory, _Loader(loader, path, query), path, cache)

    def _settings(self, path: str) -> dict[str, Any]:
        """Return the settings that select the hosts; None for one that is missing."""
        group_vars = vars_loader.get("ansible.builtin.host_group_vars")
        found = group_vars.get_vars(self.loader, path, [self.inventory.groups["all"]], cache=False)
        self.templar.available_variables = found | load_extra_vars(self.loader)
        return {
            name: self.templar.template(self.templar.available_variables.get(name))
            for name in (_REGION, *_TAGS.values())
        }


class _Loader:
    """Ansible's loader of files, with other content for one of them, because aws_ec2 takes its options from a file only."""

    def __init__(self, loader: Any, path: str, content: dict[str, Any]) -> None:
        self._loader, self._path, self._content = loader, path, content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def load_from_file(self, file_name: str, *arguments: Any, **options: Any) -> Any:
        """Return the content of a file."""
        return (
            self._content if file_name == self._path else self._loader.load_from_file(file_name, *arguments, **options)
        )
