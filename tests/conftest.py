"""Make the code of hosts and of Ansible plugins importable; an AWS account for several modules."""

import sys
from collections.abc import Iterator
from pathlib import Path

import ansible.module_utils
import pytest
from support.account import Account, serve

PLUGINS = Path(__file__).parent.parent / "plugins"
# Compiled files would be copied to hosts.
sys.dont_write_bytecode = True
ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))
sys.path.insert(0, str(PLUGINS.parent / "roles/rds_backup/files"))


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account that test_provision.py fills and test_teardown.py empties."""
    with serve(tmp_path_factory.mktemp("account")) as served:
        yield served
