"""Swap the restored and the live tables, in a way that can be completed or undone after an interruption.

Three schemas: the live one, `NAME_incoming` with the restored tables, and `NAME_before_STAMP` that the live tables move to. The tables
change places by one atomic RENAME TABLE, and so does the table with the restore's state, whose name shows
whether the swap has happened.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import pymysql

from . import structure
from .load import RestoreError, create_code
from .server import create_schema_like, drop_schema, execute, name, rows, schema_exists

# The table with the restore's state, before and after the swap.
LOADED, SWAPPED = "outport_restore_loaded", "outport_restore_swapped"
_ATTEMPTS, _LOCK_SECONDS = 6, 10
_LOCK_TIMEOUT = 1205

# Returns the lines of a dump by its name.
Lines = Callable[[str], Iterable[bytes]]


def incoming(live: str) -> str:
    """Return the schema that a dump is loaded into before the swap."""
    return f"{live}_incoming"


def note(connection: Any, live: str, notes: dict[str, Any], where: str = LOADED) -> None:
    """Store the state of a restore next to the loaded tables."""
    table = name(incoming(live), where)
    execute(
        connection,
        f"CREATE TABLE IF NOT EXISTS {table} (id INT PRIMARY KEY, notes TEXT NOT NULL) CHARACTER SET utf8mb4",
    )
    with connection.cursor() as cursor:
        cursor.execute(f"REPLACE INTO {table} VALUES (1, %s)", (json.dumps(notes),))


def notes(connection: Any, live: str) -> tuple[bool, dict[str, Any]]:
    """Return whether the tables are swapped, and the state of the restore; an empty state when there is none."""
    for table, swapped in ((SWAPPED, True), (LOADED, False)):
        try:
            found = rows(connection, f"SELECT notes FROM {name(incoming(live), table)}")
        except pymysql.err.MySQLError as error:
            if error.args[0] not in (1049, 1146):
                raise
            continue
        return swapped, json.loads(found[0][0] or "{}") if found else {}
    return False, {}


def swap(connection: Any, live: str, lines: Lines) -> None:
    """Replace the live tables and code with the loaded ones; the former live tables move to the schema recorded in the state."""
    _, found = notes(connection, live)
    note(connection, live, {**found, "code": "removed"})
    _exchange(connection, live, into=found["before"], out_of=incoming(live), flip=(LOADED, SWAPPED))
    complete(connection, live, lines)


def complete(connection: Any, live: str, lines: Lines) -> None:
    """Create the dump's code after the swap, once: later changes by a migration are kept."""
    _, found = notes(connection, live)
    if found["code"] == "removed":
        finish_code(connection, live, lines(found["dump"]))
        note(connection, live, {**found, "code": "restored"}, SWAPPED)


def undo(connection: Any, live: str, lines: Lines) -> None:
    """Undo a restore: restore tables and code, and drop its schemas."""
    swapped, found = notes(connection, live)
    if swapped:
        if not schema_exists(connection, found["before"]):
            raise RestoreError(
                f"The restore can't be undone: the schema {found['before']}, which contained the former tables, does not exist."
                f" The live data are those of dump {found['dump']}; nothing was changed."
            )
        _exchange(connection, live, into=incoming(live), out_of=found["before"], flip=(SWAPPED, LOADED))
    if "code" in found:
        finish_code(connection, live, lines(found["present"]))
    drop_schema(connection, incoming(live))
    if found and not structure.read_tables(connection, found["before"]):
        drop_schema(connection, found["before"])


def finish_code(connection: Any, live: str, lines: Iterable[bytes]) -> None:
    """Replace the views, routines, triggers and events of the live schema with those of a dump. Safe to repeat."""
    execute(connection, f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS * _ATTEMPTS}")
    structure.drop_code(connection, live, ("TRIGGER", "EVENT", "VIEW", "PROCEDURE", "FUNCTION"))
    create_code(connection, live, lines)


def _exchange(connection: Any, live: str, into: str, out_of: str, flip: tuple[str, str]) -> None:
    """Move the live tables out and others in, atomically."""
    create_schema_like(connection, into, live)
    own = (LOADED, SWAPPED)
    moves = [
        *((name(live, table), name(into, table)) for table in _tables(connection, live)),
        *((name(out_of, table), name(live, table)) for table in _tables(connection, out_of) if table not in own),
        (name(incoming(live), flip[0]), name(incoming(live), flip[1])),
    ]
    renaming = f"RENAME TABLE {', '.join(f'{source} TO {target}' for source, target in moves)}"
    # The statement waits for open transactions, and new ones wait for it: several short attempts block less.
    execute(connection, f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            # A table with triggers can't be moved to another schema; events would run on the wrong tables; a view may
            # have the name of a table.
            structure.drop_code(connection, live, ("TRIGGER", "EVENT", "VIEW"))
            execute(connection, renaming)
            return
        except pymysql.err.OperationalError as error:
            if error.args[0] != _LOCK_TIMEOUT:
                raise
            if attempt == _ATTEMPTS:
                raise RestoreError(
                    f"The tables of {live} were not swapped: a transaction has been open for more than"
                    f" {_ATTEMPTS * _LOCK_SECONDS} seconds. End it (SHOW PROCESSLIST shows it) and run this again."
                ) from None
            time.sleep(1)


def _tables(connection: Any, schema: str) -> list[str]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE'"
    return [str(row[0]) for row in rows(connection, query, (schema,))]


def wait_for_writers(connection: Any, schema: str, seconds: float) -> None:
    """Wait, for a limited time, until no transaction with changes is open, so that earlier requests can complete."""
    writing = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_rows_modified > 0"
    deadline = time.monotonic() + seconds
    while rows(connection, writing)[0][0] != "0" and time.monotonic() < deadline:
        time.sleep(0.2)


def finish(connection: Any, live: str) -> str:
    """Finish a restore after the swap: remove its state, and return the schema of the former live tables."""
    swapped, found = notes(connection, live)
    if not swapped or not schema_exists(connection, found["before"]):
        raise RestoreError("No restore is in progress.")
    drop_schema(connection, incoming(live))
    return str(found["before"])
