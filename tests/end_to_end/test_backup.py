"""A dump is complete and can be restored: with MySQL's own client, by playbooks/restore.yml, and after any interruption."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from support.hosts import on_host
from support.plays import kill_during, play

from lab import aws, certificates, operations
from lab.images import mysql_image
from lab.layout import REPOSITORY
from lab.visitor import Visitor

# The directory is copied to hosts, so it must not contain compiled files.
sys.dont_write_bytecode = True
dump, load, server, structure, swap = (
    __import__(f"rds_backup.{part}", fromlist=[part]) for part in ("dump", "load", "server", "structure", "swap")
)

NASTY = (REPOSITORY / "tests/data/nasty.sql").read_bytes()
LIVE = "outport_swap"
ALL_CODE = ("VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT")
MESSAGE = {"name": "Visitor", "email": "visitor@example.com"}


@contextmanager
def connected() -> Iterator[Any]:
    """A connection like the backup program's, from this machine, which cannot resolve the database's name."""
    found = aws.master_credentials()
    connection = pymysql.connect(
        host=str(operations.status().databases[0].address),
        user=found["username"],
        password=found["password"],
        ssl={"ca": str(certificates.CA), "check_hostname": False},
        charset="utf8mb4",
        use_unicode=False,
        conv=pymysql.converters.encoders,
        autocommit=True,
    )
    server.reset_session(connection)
    yield connection
    connection.close()


@pytest.fixture
def database() -> Iterator[Any]:
    """A connection; the schemas of the tests are removed before and after each test."""
    with connected() as connection:
        remove_schemas(connection)
        yield connection
        remove_schemas(connection)


def remove_schemas(connection: Any) -> None:
    """Remove the schemas of these tests."""
    for (schema,) in server.rows(connection, "SELECT schema_name FROM information_schema.schemata"):
        if schema.startswith(("nasty", LIVE)):
            server.drop_schema(connection, schema)
    server.execute(connection, "DROP USER IF EXISTS 'gone'@'%'")


def mysql(schema: str, sql: bytes) -> None:
    """Run SQL in a schema with MySQL's own client."""
    found = aws.master_credentials()
    image = mysql_image()
    trust = image / "tmp/ca.pem"
    shutil.copy(certificates.CA, trust)
    address = str(operations.status().databases[0].address)
    where = ["--host", address, "--user", found["username"], "--ssl-mode=VERIFY_CA", "--ssl-ca=/tmp/ca.pem"]
    command = ["chroot", str(image), "mysql", *where, "--max-allowed-packet=1G", schema]
    environment = {**os.environ, "MYSQL_PWD": found["password"]}
    done = subprocess.run(command, input=sql, capture_output=True, env=environment, timeout=120, check=False)
    trust.unlink()
    assert done.returncode == 0, done.stderr.decode()


def create(connection: Any, schema: str) -> None:
    """Create an empty schema."""
    server.execute(connection, f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")


def checksums(connection: Any, schema: str) -> dict[str, str]:
    """MySQL's own checksum of each table."""
    tables = [
        str(row[0])
        for row in server.rows(connection, f"SHOW FULL TABLES FROM {schema} WHERE Table_type = 'BASE TABLE'")
    ]
    return {table: server.rows(connection, f"CHECKSUM TABLE {server.name(schema, table)}")[0][1] for table in tables}


def test_a_dump_of_every_kind_of_object_restores_with_mysqls_own_client(database: Any) -> None:
    create(database, "nasty")
    create(database, "nasty_copy")
    server.execute(database, "CREATE USER 'gone'@'%'")
    server.execute(database, "GRANT ALL ON nasty.* TO 'gone'@'%'")
    mysql("nasty", NASTY)
    dumped = dump.Dump(database, "nasty")
    sql = b"".join(dumped.sql())
    mysql("nasty_copy", sql)

    before, after = checksums(database, "nasty"), checksums(database, "nasty_copy")
    for table in before:
        rows = dumped.manifest["tables"][table]["rows"]
        print(f"{table:12} {rows:3} rows  CHECKSUM TABLE {before[table]:>11} {after.get(table, '-'):>11}")
    print(f"{len(sql)} bytes, {dumped.manifest['seconds']} s; {', '.join(dumped.manifest['code'])}")
    assert after == before
    assert len(before) == 10
    load.verify(database, "nasty_copy", dumped.manifest, ALL_CODE)
    assert {title.split()[0] for title in dumped.manifest["code"]} == set(ALL_CODE)
    # No definition contains the account `gone`: the restoring account is the definer.
    assert "DEFINER=" not in sql.decode()
    for table, schema in (("views", "table"), ("routines", "routine"), ("triggers", "trigger"), ("events", "event")):
        query = f"SELECT DISTINCT definer FROM information_schema.{table} WHERE {schema}_schema = 'nasty_copy'"
        assert server.rows(database, query) == [(f"{aws.master_credentials()['username']}@%",)]
    (warning,) = dumped.manifest["warnings"]
    assert warning.startswith("the view broken is not valid")
    # The restored objects work: the function in the view, and the triggers in their order.
    server.execute(database, "USE nasty_copy")
    assert server.rows(database, "SELECT more FROM `a view` ORDER BY id LIMIT 1") == [("2",)]
    server.execute(database, "INSERT INTO `no key` VALUES (41, 'new')")
    assert server.rows(database, "SELECT a FROM `no key` WHERE b = 'new'") == [("42",)]
    assert server.rows(database, "SELECT what FROM log") == [("new; -- ü",)]


def test_differences_from_the_manifest_are_reported(database: Any) -> None:
    create(database, "nasty")
    server.execute(database, "CREATE TABLE nasty.a (id INT, f FLOAT)")
    server.execute(database, "INSERT INTO nasty.a VALUES (1, 16777217), (2, 0.1)")
    server.execute(database, "CREATE VIEW nasty.v AS SELECT id FROM nasty.a")
    dumped = dump.Dump(database, "nasty")
    lines = b"".join(dumped.sql()).splitlines(keepends=True)
    load.load(database, "nasty_copy", "nasty", lines)
    load.verify(database, "nasty_copy", dumped.manifest, ALL_CODE)
    server.execute(database, "UPDATE nasty_copy.a SET f = 0.2 WHERE id = 2")
    server.execute(database, "DROP VIEW nasty_copy.v")
    with pytest.raises(load.RestoreError, match="VIEW v: is missing") as error:
        load.verify(database, "nasty_copy", dumped.manifest, ALL_CODE)
    assert "a: checksum " in str(error.value)
    with pytest.raises(load.RestoreError, match="is incomplete"):
        load.load(database, "nasty_copy", "nasty", lines[:-1])


# Two related tables in two schemas, with all kinds of code.
DAMAGED, GOOD = (
    f"""
CREATE TABLE parent (id INT PRIMARY KEY, word TEXT, FULLTEXT (word));
CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id));
CREATE TABLE only_{word} (id INT);
INSERT INTO parent VALUES (1, '{word}');
INSERT INTO child VALUES (1, 1);
CREATE VIEW shown AS SELECT word AS {word} FROM parent;
CREATE FUNCTION word() RETURNS TEXT DETERMINISTIC RETURN '{word}';
CREATE TRIGGER before_child BEFORE INSERT ON child FOR EACH ROW SET NEW.id = NEW.id;
CREATE EVENT event_{word} ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM child;
""".encode()
    for word in ("damaged", "good")
)


class KilledError(BaseException):
    """The simulated kill of the process."""


@contextmanager
def killed_after(monkeypatch: pytest.MonkeyPatch, statements: int) -> Iterator[None]:
    """Simulate a kill of the process after a number of statements."""
    sent = 0

    def count(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(connection: Any, *arguments: Any) -> Any:
            nonlocal sent
            if sent == statements:
                raise KilledError
            sent += 1
            return original(connection, *arguments)

        return send

    with monkeypatch.context() as patch:
        for module in (swap, structure, load):
            for name in ("execute", "rows", "drop_schema", "create_schema_like"):
                if hasattr(module, name):
                    patch.setattr(module, name, count(getattr(server, name)))
        yield


def test_a_swap_that_is_killed_at_any_statement_is_undone_or_completed(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumps: dict[str, Any] = {}
    for name, sql in (("good", GOOD), ("damaged", DAMAGED)):
        server.drop_schema(database, LIVE)
        create(database, LIVE)
        mysql(LIVE, sql)
        dumped = dump.Dump(database, LIVE)
        dumps[name] = (b"".join(dumped.sql()).splitlines(keepends=True), dumped.manifest)
    notes = {"dump": "good", "present": "damaged", "before": f"{LIVE}_before_1"}
    outcomes: list[str] = []
    for statements in range(100):
        reset(database, dumps)
        load.load(database, swap.incoming(LIVE), LIVE, dumps["good"][0], (dump.TABLES,))
        swap.note(database, LIVE, notes)
        try:
            with killed_after(monkeypatch, statements):
                swap.swap(database, LIVE, lambda name: dumps[name][0])
        except KilledError:
            swapped, _ = swap.notes(database, LIVE)
            outcomes.append("completed" if swapped else "undone")
        else:
            break
        # As the next run does.
        if swapped:
            swap.complete(database, LIVE, lambda name: dumps[name][0])
            load.verify(database, LIVE, dumps["good"][1], ALL_CODE)
            assert swap.finish(database, LIVE) == notes["before"]
            load.verify(database, notes["before"], {**dumps["damaged"][1], "code": {}}, ())
        else:
            swap.undo(database, LIVE, lambda name: dumps[name][0])
            load.verify(database, LIVE, dumps["damaged"][1], ALL_CODE)
            assert not server.schema_exists(database, notes["before"])
        assert not server.schema_exists(database, swap.incoming(LIVE))
    else:
        pytest.fail("the swap did not complete")
    print(outcomes)
    # The point of no return is the renaming, in the middle.
    assert min(outcomes.count("undone"), outcomes.count("completed")) > 5
    assert outcomes == sorted(outcomes, reverse=True)
    # A complete swap can be undone as well.
    swap.undo(database, LIVE, lambda name: dumps[name][0])
    load.verify(database, LIVE, dumps["damaged"][1], ALL_CODE)


def reset(database: Any, dumps: dict[str, Any]) -> None:
    """Make the damaged schema live, and remove the remains of a restore."""
    for suffix in ("_incoming", "_before_1"):
        server.drop_schema(database, f"{LIVE}{suffix}")
    load.load(database, LIVE, "mysql", dumps["damaged"][0])


# The whole procedure, with the playbooks.


def send(site: Visitor, text: str) -> Any:
    """Send a unique message to the site, because duplicates are stored once, and return the response."""
    body = json.dumps(MESSAGE | {"body": f"{text} {uuid.uuid4().hex}"}).encode()
    return site.request("POST", "/api/v1/messages", body, {"Content-Type": "application/json"})


def rows_of(database: Any, table: str) -> int:
    """The number of rows of the app's table."""
    return int(server.rows(database, f"SELECT COUNT(*) FROM listings.{table}")[0][0])


def test_damaged_data_are_restored_and_no_write_is_lost_silently(site: Visitor, database: Any) -> None:
    assert send(site, "Before the backup").status == 201
    on_host("sudo systemctl start outport-rds-backup")
    before = checksums(database, "listings")
    server.execute(database, "DELETE FROM listings.message")
    server.execute(database, "UPDATE listings.listing SET title = 'Damaged', price_cents = 1")

    played = play("playbooks/restore.yml", "-e", "dump=newest").passed()
    assert "The live data are unchanged" in played.stdout
    assert checksums(database, "listings_scratch") == before
    assert checksums(database, "listings") != before

    refused = play("playbooks/restore.yml", "-e", "dump=newest", "-e", "into=live").refused()
    assert "Without a terminal, confirm with -e confirm=lab" in refused.text
    assert send(site, "Before the restore").status == 201

    responses: list[Any] = []
    done = threading.Event()

    def send_messages() -> None:
        while not done.wait(0.1):
            sent = send(site, f"During the restore {len(responses)}")
            responses.append((sent.status, sent.headers.get("retry-after"), site.get("/index.html").status))

    thread = threading.Thread(target=send_messages)
    thread.start()
    try:
        played = play("playbooks/restore.yml", "-e", "dump=newest", "-e", "into=live", "-e", "confirm=lab")
    finally:
        done.set()
        thread.join()
    played.passed()
    reported = played.text
    assert "are lost: table rows now in the dump difference" in reported
    assert {status for status, _, _ in responses} == {201, 503}
    assert {retry for status, retry, _ in responses if status == 503} == {"30"}
    assert {page for _, _, page in responses} == {200}
    print(
        f"{sum(status == 503 for status, _, _ in responses)} of {len(responses)} messages were refused during the restore"
    )
    # The dump taken before the restore is newer, and damaged.
    before_restore, backup = re.findall(r"(\S+Z) +(?:before-restore|backup) ", play("playbooks/restore.yml").stdout)[:2]
    assert f"Dump {backup} is live" in reported
    assert before_restore > backup
    after = checksums(database, "listings")
    assert {name: after[name] for name in after if name not in ("message", "rate_limit")} == {
        name: before[name] for name in before if name not in ("message", "rate_limit")
    }
    accepted_after = len(responses) - max(number for number, response in enumerate(responses) if response[0] == 503) - 1
    retained = re.findall(r"listings_before_\d+", reported)[-1]
    # Every accepted message is in the live data or in the previous data.
    accepted = sum(status == 201 for status, _, _ in responses)
    old = int(server.rows(database, f"SELECT COUNT(*) FROM {retained}.message")[0][0])
    assert old == 1 + accepted - accepted_after
    for schema in (retained, "listings_scratch"):
        played = play("playbooks/restore.yml", "-e", f"discard={schema}").passed()
        assert not server.schema_exists(database, schema)


def test_a_killed_restore_is_undone_by_the_next_run(site: Visitor, database: Any) -> None:
    count = rows_of(database, "message")
    options = ("-e", "dump=newest", "-e", "into=live", "-e", "confirm=lab")
    kill_during("Stop the other processes|other processes are stopped", 0, "playbooks/restore.yml", *options)
    response = send(site, "Refused")
    assert (response.status, response.headers["retry-after"]) == (503, "30")
    deployed = play("playbooks/deploy.yml").refused()
    assert "Complete or undo it first: ansible-playbook playbooks/restore.yml" in deployed.text
    played = play("playbooks/restore.yml").passed()
    assert "An interrupted restore left nothing to complete or undo" in played.text
    assert send(site, "Accepted again").status == 201
    assert rows_of(database, "message") == count + 1
    assert "active" in on_host("systemctl is-active listings-clean.timer")


def test_a_dump_that_does_not_exist_is_refused(site: Visitor) -> None:
    for wanted, message in (
        ("2020-01-01T00-00-00Z", "There is no dump"),
        ("yesterday", "Allowed: newest, or the name"),
    ):
        played = play("playbooks/restore.yml", "-e", f"dump={wanted}", "-e", "into=live").refused()
        assert message in played.text
