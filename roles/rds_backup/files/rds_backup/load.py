"""Load a dump into a schema, and verify the schema against the manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from . import dump, structure
from .server import create_schema_like, drop_schema, execute, name, reset_session, stream

PARTS = (dump.TABLES, dump.CODE, dump.EVENTS)


class RestoreError(Exception):
    """A dump that was not restored, or a restore that can't continue; the message has the cause and the fix."""


def statements(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the statements of a dump, each with the comment line of its part.

    Raises:
        RestoreError: The dump ends before its last line.
    """
    part, end, complete = b"", b";", False
    found: list[bytes] = []
    for line in lines:
        text = line.rstrip(b"\n")
        if not found and text.startswith(b"--"):
            part = text if text in PARTS else part
            complete = text == dump.COMPLETE
        elif not found and text.startswith(b"DELIMITER "):
            end = text.split()[1]
        elif text.endswith(end):
            yield part, b"".join([*found, text[: -len(end)]])
            found = []
        else:
            found.append(line)
    if not complete:
        raise RestoreError("The dump is incomplete: its last line is missing. Choose another dump.")


def load(connection: Any, schema: str, model: str, lines: Iterable[bytes], parts: Collection[bytes] = PARTS) -> None:
    """Replace the schema with a new one, created from the given parts of a dump."""
    drop_schema(connection, schema)
    create_schema_like(connection, schema, model)
    execute(connection, f"USE {name(schema)}")
    for part, statement in statements(lines):
        if not part or part in parts:
            execute(connection, statement)
    reset_session(connection)


def create_code(connection: Any, schema: str, lines: Iterable[bytes]) -> None:
    """Create the views, routines, triggers and events of a dump in a schema."""
    execute(connection, f"USE {name(schema)}")
    for part, statement in statements(lines):
        if part in (dump.CODE, dump.EVENTS):
            execute(connection, statement)
    reset_session(connection)


def measure(connection: Any, schema: str) -> dict[str, dict[str, Any]]:
    """Return row count, checksum and definition of each table, in the manifest's format."""
    found = {}
    for table in structure.read_tables(connection, schema):
        checksum = dump.Checksum()
        for row in stream(connection, table.select(schema)):
            checksum.add(row)
        found[table.name] = {**checksum.result(), "definition": table.fingerprint}
    return found


def verify(connection: Any, schema: str, manifest: Mapping[str, Any], kinds: Collection[str]) -> None:
    """Compare a schema with a manifest: all tables, and code of these kinds (as in CREATE).

    Raises:
        RestoreError: They differ; the message lists each difference.
    """
    tables = measure(connection, schema)
    code = {
        f"{item.kind} {item.name}": structure.fingerprint(item.definition)
        for item in structure.read_code(connection, schema)
    }
    expected = {title: found for title, found in manifest["code"].items() if title.split(" ", 1)[0] in kinds}
    differences = [
        *(
            _difference(table, manifest["tables"].get(table), tables.get(table))
            for table in _all(manifest["tables"], tables)
        ),
        *(_difference(title, expected.get(title), code.get(title)) for title in _all(expected, code)),
    ]
    if any(differences):
        listed = "\n".join(f"  {line}" for line in differences if line)
        raise RestoreError(f"The schema {schema} differs from the manifest of the dump:\n{listed}")


def _all(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return sorted(first.keys() | second.keys())


def _difference(title: str, expected: Any, found: Any) -> str:
    """Return the difference between two entries in words; empty when they are equal."""
    if expected == found:
        return ""
    if expected is None or found is None:
        return f"{title}: is {'not in the dump' if expected is None else 'missing'}"
    if not isinstance(expected, Mapping):
        return f"{title}: its definition differs"
    return f"{title}: " + ", ".join(
        f"{what} {found[what]} instead of {expected[what]}" for what in expected if found[what] != expected[what]
    )
