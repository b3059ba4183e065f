"""The name of an app's schema."""

import importlib.util
import re
from collections.abc import Callable

import pytest
import yaml
from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MYSQL
from support.account import ROOT

SPEC = importlib.util.spec_from_file_location("database_schema", ROOT / "plugins/filter/database_schema.py")
APP_NAME = yaml.safe_load((ROOT / "roles/settings/files/spec.yml").read_text())["app_name"]["pattern"]
# Words of SQLAlchemy's list that MySQL does not reserve any more.
FREE = {
    *(
        "array",
        "general",
        "get_master_public_key",
        "ignore_server_ids",
        "member",
        "persist",
        "persist_only",
        "role",
        "slow",
    ),
}


@pytest.fixture(scope="module")
def schema() -> Callable[[str], str]:
    """The filter."""
    assert SPEC
    assert SPEC.loader
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    return module.database_schema


@pytest.mark.parametrize(
    ("app", "expected"),
    [("shop", "shop"), ("my-shop", "my_shop"), ("groups", "groups_app"), ("current-user", "current_user_app")],
)
def test_a_schema_is_named_for_its_app_and_not_by_a_reserved_word(
    schema: Callable[[str], str], app: str, expected: str
) -> None:
    assert schema(app) == expected


def test_no_app_gets_a_schema_that_mysql_reserves(schema: Callable[[str], str]) -> None:
    possible = {word for word in RESERVED_WORDS_MYSQL if re.fullmatch(APP_NAME, word.replace("_", "-"))}
    assert {word for word in possible if schema(word.replace("_", "-")) == word} == FREE
