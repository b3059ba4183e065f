"""The app's own user of the database: its rights, and what the module database_user refuses or repairs."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore
import pymysql
import pytest
from ansible.module_utils.testing import patch_module_args
from support.plays import play, shell

from lab import aws, certificates, operations
from lab.layout import REPOSITORY

OTHER = "users_other"
PUBLIC_AUTHORITIES = (Path(botocore.__file__).parent / "cacert.pem").read_text()


@contextmanager
def login(credentials: dict[str, Any]) -> Iterator[pymysql.cursors.Cursor]:
    """Log in to the database as a user."""
    connection = pymysql.connect(
        host=str(operations.status().databases[0].address),
        user=credentials["username"],
        password=credentials["password"],
        ssl={"ca": str(certificates.CA), "check_hostname": False},
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def master() -> Iterator[pymysql.cursors.Cursor]:
    """The master user's connection, and a schema of another app."""
    with login(aws.master_credentials()) as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {OTHER}")
        yield cursor
        cursor.execute(f"DROP SCHEMA {OTHER}")
        cursor.execute("DROP FUNCTION IF EXISTS listings.one")


def grants(master: pymysql.cursors.Cursor) -> set[str]:
    """Return the grants of the app's user."""
    master.execute("SHOW GRANTS FOR listings_app")
    return {row[0] for row in master.fetchall()}


RIGHTS = {
    "GRANT SHOW DATABASES ON *.* TO `listings_app`@`%`",
    "GRANT ALL PRIVILEGES ON `listings`.* TO `listings_app`@`%`",
    r"GRANT SELECT ON `listings\_%`.* TO `listings_app`@`%`",
}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT authentication_string FROM mysql.user",
        "CREATE SCHEMA listings_mine",
        "DROP SCHEMA listings_before_1",
        "CREATE USER mine",
        "GRANT SELECT ON listings.* TO mine",
        f"CREATE TABLE {OTHER}.mine (id INT)",
        "KILL {thread}",
        "SET GLOBAL max_connections = 1",
        "PURGE BINARY LOGS BEFORE NOW()",
    ],
)
def test_the_apps_user_has_no_rights_beyond_its_schema(master: pymysql.cursors.Cursor, statement: str) -> None:
    assert grants(master) == RIGHTS
    refused = pytest.raises(pymysql.err.MySQLError, match=r"denied|not owner")
    with login(aws.database_credentials()) as app, refused:
        app.execute(statement.format(thread=master.connection.thread_id()))


def options() -> dict[str, Any]:
    """Return the module's options, as the playbook has them."""
    return {
        "user": aws.database_credentials(),
        "ca": certificates.CA.read_text(),
        "ssh": shlex.join(operations.ssh_command(operations.find_host("web-1"))),
        "master": aws.master_credentials(),
        "grants": {"listings": ["ALL"], "listings_*": ["SELECT"], "*": ["SHOW DATABASES"]},
    }


def run(capsys: pytest.CaptureFixture[str], check: bool = False, **changes: Any) -> dict[str, Any]:
    """Run the module as the playbook does, with some options changed, and return its result."""
    spec = importlib.util.spec_from_file_location("database_user", REPOSITORY / "plugins/modules/database_user.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with patch_module_args(options() | {"_ansible_check_mode": check} | changes), pytest.raises(SystemExit):
        module.main()
    output = capsys.readouterr().out
    for found in (aws.database_credentials(), aws.master_credentials()):
        assert found["password"] not in output
    return json.loads(output)


def test_a_run_repairs_the_user_and_check_mode_does_not(
    master: pymysql.cursors.Cursor, capsys: pytest.CaptureFixture[str]
) -> None:
    master.execute("ALTER USER listings_app IDENTIFIED BY 'another'")
    master.execute(f"GRANT SELECT ON {OTHER}.* TO listings_app")
    master.execute("GRANT PROCESS ON *.* TO listings_app")
    master.execute("REVOKE SHOW DATABASES ON *.* FROM listings_app")
    master.execute("REVOKE DELETE ON listings.* FROM listings_app")
    damaged = grants(master)
    checked = run(capsys, check=True)
    assert checked["changed"]
    assert grants(master) == damaged
    repaired = run(capsys)
    assert repaired["statements"] == checked["statements"]
    assert "ALTER USER 'listings_app'@'%' IDENTIFIED BY …" in repaired["statements"]
    assert grants(master) == RIGHTS
    with login(aws.database_credentials()) as app:
        app.execute("SELECT COUNT(*) FROM listings.listing")
    played = play("playbooks/internal/database_users.yml", "-vvv").passed()
    assert played.changed == []
    for secret in (aws.master_credentials()["password"], aws.database_credentials()["password"]):
        assert secret not in played.stdout


def test_a_new_user_is_created(master: pymysql.cursors.Cursor, capsys: pytest.CaptureFixture[str]) -> None:
    new = aws.database_credentials() | {"username": "listings_new", "dbname": OTHER}
    try:
        assert len(run(capsys, user=new)["statements"]) == 4
        assert not run(capsys, user=new)["changed"]
        with login(new) as app:
            app.execute("SELECT COUNT(*) FROM listings.listing")
    finally:
        master.execute("DROP USER IF EXISTS listings_new")


def test_a_routine_that_only_another_user_can_read_is_refused(
    master: pymysql.cursors.Cursor, capsys: pytest.CaptureFixture[str]
) -> None:
    master.execute("CREATE FUNCTION listings.one() RETURNS INT DETERMINISTIC RETURN 1")
    message = run(capsys)["msg"]
    assert "these routines of the schema listings belong to another user: one. " in message
    page = (REPOSITORY / "docs/production.md").read_text()
    for statement in re.findall(r"^(?:DROP|CREATE DEFINER).*;$", page, re.MULTILINE):
        master.execute(statement.replace("FUNCTION price", "FUNCTION listings.one"))
    assert not run(capsys)["changed"]
    with login(aws.database_credentials()) as app:
        app.execute("SHOW CREATE FUNCTION listings.one")
        assert "RETURN 1" in app.fetchone()[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ca": PUBLIC_AUTHORITIES}, "certificate verify failed"),
        ({"ca": "none"}, "The certificates of the database's authorities are not valid"),
        ({"user": {"host": "another.example"}}, "SSH reports: "),
        ({"master": {"password": "wrong"}}, "as user outport: Access denied"),
        ({"ssh": "ssh -o BatchMode=yes -p 1 admin@127.0.0.1"}, "SSH reports: ssh: connect to host 127.0.0.1 port 1"),
    ],
    ids=["another authority", "no certificate", "no server", "wrong password", "no host"],
)
def test_a_server_that_cannot_be_verified_or_reached_is_an_error(
    changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = options()
    changed = {name: usual[name] | value if isinstance(value, dict) else value for name, value in changes.items()}
    assert message in run(capsys, **changed)["msg"]


def test_an_operator_gets_the_master_users_password() -> None:
    page = (REPOSITORY / "docs/production.md").read_text()
    (command,) = re.findall(r"^ansible localhost .*$", page, re.MULTILINE)
    assert aws.master_credentials()["password"] in shell(command)


@pytest.mark.soak
def test_the_master_users_password_is_rotated_and_no_request_fails(
    undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    former = aws.master_credentials()
    played = play("playbooks/provision.yml", "-e", "rotate_master_password=true").passed()
    master = aws.master_credentials()
    for found in (former, master):
        assert found["password"] not in played.stdout
    deadline = time.monotonic() + 60
    while "msg" in run(capsys):
        assert time.monotonic() < deadline
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"), login(former):
        pass
