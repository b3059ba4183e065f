"""The dumps that a restore reads, on the host: those that the control machine lists; see test_role_permissions.py for the list."""

from __future__ import annotations

import pytest
from rds_backup.load import RestoreError
from rds_backup.store import Dumps

NAME = "dumps/shop/2026-01-31T02-15-00Z"


def test_a_host_reads_the_dumps_of_its_schema() -> None:
    url = "data:application/gzip;base64,H4sIAAAAAAACAwt29XF1DlEwtOYKhrCMrLkAAQZSKxQAAAA="
    dumps = Dumps(
        {NAME: {"manifest": {"dump": "a"}, "url": url}, "dumps/other/b": {"manifest": {}, "url": url}}, "shop"
    )
    assert dumps.names() == ["2026-01-31T02-15-00Z"]
    assert list(dumps.lines("2026-01-31T02-15-00Z")) == [b"SELECT 1;\n", b"SELECT 2;\n"]


def test_a_dump_that_does_not_exist_is_reported_with_those_that_do() -> None:
    dumps = Dumps({NAME: {"manifest": {"dump": "a"}, "url": "-"}}, "shop")
    with pytest.raises(RestoreError, match=r"no dump '2026'\. The newest ones are: 2026-01-31T02-15-00Z\."):
        dumps.manifest("2026")


def test_an_address_that_does_not_respond_is_reported() -> None:
    dumps = Dumps({NAME: {"manifest": {"dump": "a"}, "url": "http://127.0.0.1:9/"}}, "shop")
    with pytest.raises(RestoreError, match=r"can't be read: .*Connection refused.*Run this again"):
        next(dumps.lines("2026-01-31T02-15-00Z"))


def test_without_a_list_the_playbook_is_named() -> None:
    with pytest.raises(RestoreError, match=r"Run playbooks/restore\.yml"):
        Dumps(None, "shop").names()
