"""A dump: SQL that MySQL's own client restores, and a manifest of its content."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from . import structure
from .server import SESSION, execute, name, rows, stream
from .structure import Code, Column, Table

# Comment lines at the start of the parts of a dump; a dump without the last one is incomplete.
TABLES, CODE, EVENTS, COMPLETE = b"-- Tables", b"-- Code", b"-- Events", b"-- Dump completed"
# Approximate length of a statement with many rows, bytes.
_BATCH = 1 << 20
# Not hexadecimal digits, in which a value that just fits into a packet would not fit.
_LONG = 4096
_SUM = 1 << 128
_ESCAPES = {b"\0": b"\\0", b"\n": b"\\n", b"\r": b"\\r", b"\x1a": b"\\Z", b"'": b"\\'", b"\\": b"\\\\"}
_SPECIAL = re.compile(rb"[\0\n\r\x1a'\\]")
_DELIMITERS = (";", ";;", "$$", "//", "||")


class Checksum:
    """Row count and checksum of a table's content, independent of the order of the rows."""

    def __init__(self) -> None:
        self.rows = self._sum = 0

    def add(self, row: tuple[bytes | None, ...]) -> None:
        """Add a row: the sum of 128-bit digests of the rows."""
        text = b"".join(b"-" if value is None else b"%d:%b" % (len(value), value) for value in row)
        self.rows += 1
        self._sum = (self._sum + int.from_bytes(blake2b(text, digest_size=16).digest(), "big")) % _SUM

    def result(self) -> dict[str, Any]:
        """Return `{"rows": int, "checksum": str}`."""
        return {"rows": self.rows, "checksum": f"{self._sum:032x}"}


class Dump:
    """One dump of a schema. `manifest` is complete after all of `sql` has been consumed."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema
        self.manifest: dict[str, Any] = {}

    def sql(self) -> Iterator[bytes]:
        """Yield the dump: a consistent snapshot of all tables, without a lock that blocks other sessions."""
        connection, schema = self._connection, self._schema
        began = datetime.now(UTC)
        execute(connection, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        execute(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        execute(connection, f"USE {name(schema)}")
        # Reads acquire metadata locks; each is released before the next table, so that no migration waits for the whole dump.
        execute(connection, "SAVEPOINT nothing_read")
        tables = structure.read_tables(connection, schema)
        code = structure.read_code(connection, schema)
        broken = structure.broken_views(connection, schema, code)
        server, charset, collation = rows(
            connection, "SELECT VERSION(), @@character_set_database, @@collation_database"
        )[0]
        self.manifest |= {
            "format": 1,
            "schema": schema,
            "made": began.isoformat(timespec="seconds"),
            "server": server,
            "revision": structure.revision(connection, schema, tables),
            "tables": {},
            "code": {
                f"{item.kind} {item.name}": structure.fingerprint(item.definition)
                for item in code
                if not (item.kind == "VIEW" and item.name in broken)
            },
            "warnings": [
                *(
                    f"the view {view} is not valid and only a comment in the dump: {why}"
                    for view, why in broken.items()
                ),
                *(
                    f"the table {table.name} is {table.engine}, not InnoDB: changes during the dump may be included in part"
                    for table in tables
                    if table.engine != "InnoDB"
                ),
            ],
        }
        execute(connection, "ROLLBACK TO SAVEPOINT nothing_read")
        yield f"-- Outport dump of {schema} at {self.manifest['made']}, MySQL {server}\n".encode()
        yield f"SET NAMES utf8mb4;\n{SESSION};\n".encode()
        yield f"ALTER DATABASE CHARACTER SET {charset} COLLATE {collation};\n".encode()
        yield TABLES + b"\n"
        for table in tables:
            yield statement(table.definition)
            checksum = Checksum()
            yield from inserts(table, stream(connection, table.select(schema)), checksum)
            execute(connection, "ROLLBACK TO SAVEPOINT nothing_read")
            self.manifest["tables"][table.name] = {**checksum.result(), "definition": table.fingerprint}
        yield CODE + b"\n"
        for item in code:
            if item.kind == "VIEW" and item.name in broken:
                yield b"".join(b"-- " + line + b"\n" for line in item.definition.encode().splitlines())
            elif item.kind != "EVENT":
                yield create(item)
        yield EVENTS + b"\n"
        for item in code:
            if item.kind == "EVENT":
                yield create(item)
        execute(connection, "COMMIT")
        self.manifest["seconds"] = round((datetime.now(UTC) - began).total_seconds(), 1)
        yield COMPLETE + b"\n"


def create(item: Code) -> bytes:
    """Return the statements that create a view, routine, trigger or event."""
    return f"{item.session};\n".encode() + statement(item.definition)


def statement(text: str) -> bytes:
    """Return a statement with a delimiter that does not occur in it."""
    end = next(end for end in (*_DELIMITERS, *(f"--end{number}" for number in range(100))) if end not in text)
    if end == ";":
        return f"{text};\n".encode()
    return f"DELIMITER {end}\n{text}\n{end}\nDELIMITER ;\n".encode()


def inserts(table: Table, found: Iterator[tuple[bytes | None, ...]], checksum: Checksum) -> Iterator[bytes]:
    """Yield INSERT statements without generated columns; every row is counted with all its columns."""
    kept = [(number, column) for number, column in enumerate(table.columns) if not column.generated]
    names = ", ".join(name(column.name) for _, column in kept)
    head = f"INSERT INTO {name(table.name)} ({names}) VALUES\n".encode()
    batch: list[bytes] = []
    size = 0
    for row in found:
        checksum.add(row)
        values = b"(" + b",".join([literal(column, row[number]) for number, column in kept]) + b")"
        if batch and size + len(values) > _BATCH:
            yield head + b",\n".join(batch) + b";\n"
            batch, size = [], 0
        batch.append(values)
        size += len(values)
    if batch:
        yield head + b",\n".join(batch) + b";\n"


def literal(column: Column, value: bytes | None) -> bytes:
    """Return a value as SQL in UTF-8, on one line."""
    if value is None:
        return b"NULL"
    if column.kind == "number":
        return value
    if column.kind == "text":
        return b"'" + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value) + b"'"
    if not value:
        return b"''"
    if column.kind == "binary" and len(value) > _LONG:
        return b"FROM_BASE64('" + base64.b64encode(value) + b"')"
    introducer = b"" if column.kind == "binary" else b"_" + column.kind.encode() + b" "
    return introducer + b"0x" + value.hex().encode()
