"""The structure of a schema: tables with their columns, and views, routines, triggers and events as portable statements."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pymysql

from .server import name, rows

_BINARY = {
    *("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit", "vector"),
    *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
    *("geometrycollection", "geomcollection"),
}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "float", "year"}
# Character sets that are subsets of utf8mb4.
_UTF8 = {"utf8mb4", "utf8mb3", "utf8", "ascii", None}
# The definer's account may not exist on the target; the restoring account becomes the definer.
_DEFINER = re.compile(r" DEFINER=(?:`(?:[^`]|``)*`|\S+?)@(?:`(?:[^`]|``)*`|\S+)")
_AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+(?= )")
# MySQL's error codes for a missing table, column or routine, and for a view of a view with such an error.
_MISSING, _INVALID_VIEW = (1146, 1054, 1305), 1356
_STRING = r"'(?:[^'\\]|\\.|'')*'"


@dataclass(frozen=True)
class Column:
    """A column: `kind` is the format of its values (binary, number, text, or the name of another character set)."""

    name: str
    kind: str
    expression: str
    generated: bool


@dataclass(frozen=True)
class Table:
    """A base table: `definition` is its CREATE statement."""

    name: str
    engine: str
    columns: tuple[Column, ...]
    definition: str

    @property
    def fingerprint(self) -> str:
        """Return a digest of the definition, without the next auto-increment value."""
        return fingerprint(_AUTO_INCREMENT.sub("", self.definition))

    def select(self, schema: str) -> str:
        """Return the query for all rows with all columns."""
        return f"SELECT {', '.join(column.expression for column in self.columns)} FROM {name(schema, self.name)}"


@dataclass(frozen=True)
class Code:
    """A view, routine, trigger or event: `kind` as in CREATE, and the settings (`session`, SQL) that it was created with."""

    kind: str
    name: str
    session: str
    definition: str


def fingerprint(text: str) -> str:
    """Return a short digest of a definition."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_tables(connection: Any, schema: str) -> list[Table]:
    """Return the base tables, sorted by name."""
    query = (
        "SELECT table_name, engine FROM information_schema.tables"
        " WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name"
    )
    columns = _read_columns(connection, schema)
    return [
        Table(str(table), str(engine), tuple(columns[str(table)]), _show(connection, "TABLE", schema, str(table), 1))
        for table, engine in rows(connection, query, (schema,))
    ]


def _read_columns(connection: Any, schema: str) -> Mapping[str, list[Column]]:
    query = (
        "SELECT table_name, column_name, data_type, character_set_name, extra FROM information_schema.columns"
        " WHERE table_schema = %s ORDER BY table_name, ordinal_position"
    )
    found: dict[str, list[Column]] = {}
    for table, column, data_type, charset, extra in rows(connection, query, (schema,)):
        quoted = name(str(column))
        if data_type in _BINARY:
            kind, expression = "binary", quoted
        elif data_type in _NUMBERS:
            # As text, a FLOAT would have six digits only.
            kind, expression = "number", f"CAST({quoted} AS DOUBLE)" if data_type == "float" else quoted
        elif data_type == "json" or charset in _UTF8:
            kind, expression = "text", quoted
        else:
            # As bytes: not every character set survives a round trip through UTF-8.
            kind, expression = str(charset), f"CAST({quoted} AS BINARY)"
        generated = re.search(r"\b(?:VIRTUAL|STORED) GENERATED\b", str(extra)) is not None
        found.setdefault(str(table), []).append(Column(str(column), kind, expression, generated))
    return found


def _show(connection: Any, kind: str, schema: str, item: str, column: int) -> str:
    definition = rows(connection, f"SHOW CREATE {kind} {name(schema, item)}")[0][column]
    if definition is None:
        raise PermissionError(f"this account may not read the definition of the {kind.lower()} {item}")
    return definition


def read_code(connection: Any, schema: str) -> list[Code]:
    """Return routines, views, triggers and events, in an order in which they can be created."""
    return [
        *_read_routines(connection, schema),
        *_read_views(connection, schema),
        *_read_triggers(connection, schema),
        *_read_events(connection, schema),
    ]


def _session(sql_mode: str | None, collation: str | None, time_zone: str | None = None) -> str:
    """Return the statement that sets the session variables of a definition."""
    settings = [f"sql_mode = '{sql_mode or ''}'", f"collation_connection = {collation}"]
    if time_zone:
        settings.append(f"time_zone = '{time_zone}'")
    return f"SET SESSION {', '.join(settings)}"


def _read_routines(connection: Any, schema: str) -> list[Code]:
    query = (
        "SELECT routine_type, routine_name, sql_mode, collation_connection FROM information_schema.routines"
        " WHERE routine_schema = %s ORDER BY routine_type, routine_name"
    )
    return [
        Code(
            str(kind),
            str(routine),
            _session(mode, collation),
            _without_definer(_show(connection, str(kind), schema, str(routine), 2)),
        )
        for kind, routine, mode, collation in rows(connection, query, (schema,))
    ]


def _read_views(connection: Any, schema: str) -> list[Code]:
    query = "SELECT table_name, collation_connection FROM information_schema.views WHERE table_schema = %s ORDER BY table_name"
    found = {
        str(view): Code(
            "VIEW",
            str(view),
            _session("", collation),
            _unqualified(_without_definer(_show(connection, "VIEW", schema, str(view), 1)), schema),
        )
        for view, collation in rows(connection, query, (schema,))
    }
    uses = "SELECT view_name, table_name FROM information_schema.view_table_usage WHERE view_schema = %s AND table_schema = %s"
    needs: dict[str, list[str]] = {}
    for view, used in rows(connection, uses, (schema, schema)):
        if used in found:
            needs.setdefault(str(view), []).append(str(used))
    ordered: dict[str, Code] = {}

    def add(view: str) -> None:
        for used in needs.get(view, []):
            if used not in ordered:
                add(used)
        ordered.setdefault(view, found[view])

    for view in found:
        add(view)
    return list(ordered.values())


def broken_views(connection: Any, schema: str, code: list[Code]) -> dict[str, str]:
    """Return the views that can't be created, such as one of a dropped table, each with the reason."""
    query = "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = %s"
    queries = dict(rows(connection, query, (schema,)))
    broken: dict[str, str] = {}
    for view in (item.name for item in code if item.kind == "VIEW"):
        try:
            # Its query, not the view itself: a missing definer or privilege does not matter on the target.
            rows(connection, f"SELECT 1 FROM ({queries[view]}) AS found LIMIT 0")
        except pymysql.err.MySQLError as error:
            of_broken = error.args[0] == _INVALID_VIEW and any(name(other) in str(queries[view]) for other in broken)
            if error.args[0] in _MISSING or of_broken:
                broken[view] = str(error.args[-1])
    return broken


def _read_triggers(connection: Any, schema: str) -> list[Code]:
    query = (
        "SELECT trigger_name, action_timing, event_manipulation, event_object_table, action_statement, sql_mode,"
        " collation_connection FROM information_schema.triggers WHERE trigger_schema = %s"
        " ORDER BY event_object_table, event_manipulation, action_timing, action_order"
    )
    return [
        # Composed here, because the original statement may contain the schema's name.
        Code(
            "TRIGGER",
            str(trigger),
            _session(mode, collation),
            f"CREATE TRIGGER {name(str(trigger))} {timing} {event} ON {name(str(table))} FOR EACH ROW {body}",
        )
        for trigger, timing, event, table, body, mode, collation in rows(connection, query, (schema,))
    ]


def _read_events(connection: Any, schema: str) -> list[Code]:
    query = (
        "SELECT event_name, sql_mode, collation_connection, time_zone FROM information_schema.events"
        " WHERE event_schema = %s ORDER BY event_name"
    )
    return [
        Code(
            "EVENT",
            str(event),
            _session(mode, collation, zone),
            _without_definer(_show(connection, "EVENT", schema, str(event), 3)),
        )
        for event, mode, collation, zone in rows(connection, query, (schema,))
    ]


def _without_definer(definition: str) -> str:
    return _DEFINER.sub("", definition, count=1)


def _unqualified(definition: str, schema: str) -> str:
    """Return a view's definition without its schema's name, so that it can be created in any schema.

    MySQL omits the name itself unless the view also reads another schema. Then it stands before the view's and the tables' own
    names, and before names of columns with their table; a table or an alias may have the schema's name.
    """
    own = re.escape(name(schema))
    if not re.search(rf" VIEW {own}\.", definition):
        return definition
    begins = r"(?:(?<= VIEW )|(?<= from )|(?<= join )|(?<=\()|(?<=,))"
    return re.sub(
        rf"({_STRING})|{begins}{own}\.(?=`)|{own}\.(?=`(?:[^`]|``)*`[.(])", lambda match: match[1] or "", definition
    )


def drop_code(connection: Any, schema: str, kinds: tuple[str, ...]) -> None:
    """Drop the views, routines, triggers or events of a schema."""
    for item in read_code(connection, schema):
        if item.kind in kinds:
            rows(connection, f"DROP {item.kind} IF EXISTS {name(schema, item.name)}")


def revision(connection: Any, schema: str, tables: list[Table]) -> str:
    """Return the revision recorded by the app's migrations (Alembic, Flask-Migrate); empty for none."""
    if not any(table.name == "alembic_version" for table in tables):
        return ""
    query = f"SELECT version_num FROM {name(schema, 'alembic_version')} ORDER BY version_num"
    return " ".join(str(row[0]) for row in rows(connection, query))
