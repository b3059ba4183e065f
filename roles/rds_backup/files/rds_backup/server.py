"""Connections to the database, and common queries."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

# Client-side limit of a statement, bytes; the server's own limit is lower.
_LARGEST = 1 << 30
# Zero dates, and a zero in an auto-increment column, are valid data.
SESSION = (
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 0"
)


@contextmanager
def connect(credentials: Mapping[str, Any], ca_file: str) -> Iterator[Any]:
    """Connect over verified TLS, without a default schema; values are the raw bytes from the server."""
    trust = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 rejects RDS's CA certificates, which do not conform to RFC 5280; signature and host name are still verified.
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connection = pymysql.connect(
        host=credentials["host"],
        port=int(credentials["port"]),
        user=credentials["username"],
        password=credentials["password"],
        ssl=trust,
        charset="utf8mb4",
        use_unicode=False,
        conv=encoders,
        autocommit=True,
        connect_timeout=10,
        max_allowed_packet=_LARGEST,
    )
    try:
        reset_session(connection)
        yield connection
    finally:
        connection.close()


def reset_session(connection: Any) -> None:
    """Set the session variables that affect how values are read and written; a dump changes them for its routines and events."""
    execute(connection, "SET NAMES utf8mb4")
    execute(connection, SESSION)


def execute(connection: Any, statement: str | bytes) -> None:
    """Run a statement and read its result to the end."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def rows(connection: Any, query: str, arguments: tuple[Any, ...] = ()) -> list[tuple[str | None, ...]]:
    """Return a small result, with its values as text."""
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return [tuple(None if value is None else value.decode() for value in row) for row in cursor.fetchall()]


def stream(connection: Any, query: str) -> Iterator[tuple[bytes | None, ...]]:
    """Stream the rows of a result of any size, with their values as bytes."""
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(query)
        yield from cursor


def name(*parts: str) -> str:
    """Return a quoted name: of a table, or of a schema and a table."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def schema_exists(connection: Any, schema: str) -> bool:
    """Return whether a schema exists."""
    return bool(rows(connection, "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (schema,)))


def create_schema_like(connection: Any, schema: str, model: str) -> None:
    """Create a schema with the character set and collation of another."""
    query = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = %s"
    charset, collation = rows(connection, query, (model,))[0]
    execute(connection, f"CREATE DATABASE IF NOT EXISTS {name(schema)} CHARACTER SET {charset} COLLATE {collation}")


def drop_schema(connection: Any, schema: str) -> None:
    """Drop a schema and its content."""
    execute(connection, f"DROP DATABASE IF EXISTS {name(schema)}")
