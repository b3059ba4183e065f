"""Make what runs on hosts and in Ansible importable as it is there."""

import sys
from pathlib import Path

import ansible.module_utils

PLUGINS = Path(__file__).parent.parent / "plugins"
# A compiled file would be copied to hosts.
sys.dont_write_bytecode = True
ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))
