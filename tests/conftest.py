"""Make the code of hosts and of Ansible plugins importable."""

import sys
from pathlib import Path

import ansible.module_utils

PLUGINS = Path(__file__).parent.parent / "plugins"
# Compiled files would be copied to hosts.
sys.dont_write_bytecode = True
ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))
