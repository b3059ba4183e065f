"""The commands of `outport-rds-backup`; each prints one JSON object, and fails with a message."""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pymysql
from botocore.exceptions import BotoCoreError, ClientError

from . import dump, load, structure, swap
from .load import RestoreError
from .server import connect, drop_schema, name, rows, schema_exists
from .store import Dumps, Store

# MySQL's error codes for a table that a migration changed or removed during the dump.
_CHANGED = (1412, 1146, 1054)
_ATTEMPTS = 3


class Backups:
    """The dumps and the database of one environment. `config` is the role's configuration file, `found` the dumps, see `Dumps`."""

    def __init__(self, config: dict[str, Any], found: dict[str, Any] | None) -> None:
        self.config = config
        self._session = {"region_name": config["region"], "endpoint_url": config["endpoint_url"]}
        self._credentials = self._decrypt()
        self.schema: str = self._credentials["dbname"]
        self.store = Store(boto3.client("s3", **self._session), config["bucket"], self.schema)
        self.dumps = Dumps(found, self.schema)

    def _decrypt(self) -> dict[str, Any]:
        """Return the database credentials; the ciphertext is systemd's credential `database`."""
        ciphertext = Path(os.environ["CREDENTIALS_DIRECTORY"], "database").read_text()
        kms = boto3.client("kms", **self._session)
        answer = kms.decrypt(
            CiphertextBlob=base64.b64decode(ciphertext), EncryptionContext=self.config["credentials_context"]
        )
        credentials: dict[str, Any] = json.loads(answer["Plaintext"])
        return credentials

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Connect to the database as its master user."""
        with connect(self._credentials, self.config["ca_file"]) as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Any]:
        """Connect, and wait for a backup or a restore in progress, such as one whose terminal was closed."""
        with self.connection() as connection:
            lock = f"outport-restore-{self.schema}"[:64]
            if rows(connection, "SELECT GET_LOCK(%s, 600)", (lock,))[0][0] != "1":
                raise RestoreError(
                    "Another backup or restore has been running for more than 10 minutes. Wait until it ends."
                )
            yield connection

    def backup(self, reason: str) -> dict[str, Any]:
        """Dump the database to S3 and return the manifest. A dump that a migration interferes with is retried."""
        for attempt in range(1, _ATTEMPTS + 1):
            dump_name = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
            try:
                with self.connection() as connection:
                    if reason != "backup":
                        swap.wait_for_writers(connection, self.schema, self.config["request_seconds"])
                    found = dump.Dump(connection, self.schema)
                    found.manifest |= {"reason": reason, "release": self._release()}
                    self.store.save(dump_name, found.sql(), found.manifest)
            except pymysql.err.MySQLError as error:
                if error.args[0] not in _CHANGED or attempt == _ATTEMPTS:
                    raise
                time.sleep(5 * attempt)
                continue
            return found.manifest
        raise AssertionError

    def _release(self) -> str:
        link = Path(self.config["release_link"]) if self.config["release_link"] else None
        return os.path.basename(os.readlink(link)) if link and link.is_symlink() else ""

    def status(self) -> dict[str, Any]:
        """Return the dumps, the schemas left by restores, and whether a restore was interrupted."""
        pattern = re.compile(rf"{re.escape(self.schema)}_(scratch|incoming|before_\w+)")
        sizes = (
            "SELECT s.schema_name, COUNT(t.table_name), COALESCE(SUM(t.data_length + t.index_length), 0)"
            " FROM information_schema.schemata s LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name"
            " GROUP BY s.schema_name ORDER BY s.schema_name"
        )
        with self.connection() as connection:
            found = {
                str(schema): (int(str(tables)), int(str(size))) for schema, tables, size in rows(connection, sizes)
            }
            revision = self._revision(connection)
        shown = ("dump", "made", "reason", "release", "revision", "bytes", "compressed_bytes", "seconds", "warnings")
        return {
            "schema": self.schema,
            "revision": revision,
            "dumps": [
                {
                    **{key: manifest.get(key) for key in shown},
                    "rows": sum(t["rows"] for t in manifest["tables"].values()),
                }
                for manifest in self.dumps.manifests()
            ],
            "schemas": [
                {"name": schema, "tables": tables, "bytes": size}
                for schema, (tables, size) in found.items()
                if pattern.fullmatch(schema)
            ],
            "interrupted": swap.incoming(self.schema) in found,
        }

    def compare(self, dump_name: str) -> dict[str, Any]:
        """Return the number of rows of each table in the live data and in the dump."""
        manifest = self.dumps.manifest(dump_name)
        with self.connection() as connection:
            live = {
                table.name: int(str(rows(connection, f"SELECT COUNT(*) FROM {name(self.schema, table.name)}")[0][0]))
                for table in structure.read_tables(connection, self.schema)
            }
        restored = {table: found["rows"] for table, found in manifest["tables"].items()}
        return {
            "dump": {key: manifest[key] for key in ("dump", "made", "reason", "revision", "release")},
            "tables": [
                {"table": table, "live": live.get(table), "dump": restored.get(table)}
                for table in sorted(live.keys() | restored.keys())
            ],
        }

    def scratch(self, dump_name: str) -> dict[str, Any]:
        """Restore a dump into `NAME_scratch`, without its events, and verify it."""
        manifest, schema = self.dumps.manifest(dump_name), f"{self.schema}_scratch"
        with self.alone() as connection:
            return self._load(connection, schema, manifest, (dump.TABLES, dump.CODE))

    def prepare(self, dump_name: str, present: str) -> dict[str, Any]:
        """Load a dump's tables next to the live ones and verify them; `present` is the dump of the current live data."""
        manifest = self.dumps.manifest(dump_name)
        before = f"{self.schema}_before_{re.sub(r'[^0-9]', '', present)}"
        with self.alone() as connection:
            swapped, notes = swap.notes(connection, self.schema)
            if swapped or "code" in notes:
                raise RestoreError("An earlier restore is not complete. Run playbooks/restore.yml, which completes it.")
            report = self._load(connection, swap.incoming(self.schema), manifest, (dump.TABLES,))
            revision = self._revision(connection)
            # Without Alembic, only the app's own commands can determine its revision.
            migrate = not revision or revision != manifest["revision"]
            notes = {"dump": dump_name, "present": present, "before": before, "migrate": migrate}
            swap.note(connection, self.schema, notes)
        return {**report, "migrate": migrate}

    def _revision(self, connection: Any) -> str:
        return structure.revision(connection, self.schema, structure.read_tables(connection, self.schema))

    def _load(self, connection: Any, schema: str, manifest: dict[str, Any], parts: tuple[bytes, ...]) -> dict[str, Any]:
        kinds = ("VIEW", "PROCEDURE", "FUNCTION", "TRIGGER") if dump.CODE in parts else ()
        began = time.monotonic()
        load.load(connection, schema, self.schema, self.dumps.lines(manifest["dump"]), parts)
        loaded = time.monotonic()
        load.verify(connection, schema, manifest, kinds)
        return {
            "schema": schema,
            "dump": manifest["dump"],
            "tables": manifest["tables"],
            "rows": sum(table["rows"] for table in manifest["tables"].values()),
            "load_seconds": round(loaded - began, 1),
            "verify_seconds": round(time.monotonic() - loaded, 1),
        }

    def swap(self) -> dict[str, Any]:
        """Swap the loaded and the live tables. A failure is rolled back."""
        with self.alone() as connection:
            began = time.monotonic()
            try:
                swap.swap(connection, self.schema, self.dumps.lines)
            except (RestoreError, pymysql.err.MySQLError) as error:
                swap.undo(connection, self.schema, self.dumps.lines)
                raise RestoreError(f"{describe(error)}\nThe restore was undone: the live data are unchanged.") from None
            return {"seconds": round(time.monotonic() - began, 1)}

    def recover(self) -> dict[str, Any]:
        """Complete an interrupted restore whose tables are live already, or undo it."""
        with self.alone() as connection:
            swapped, notes = swap.notes(connection, self.schema)
            if swapped:
                swap.complete(connection, self.schema, self.dumps.lines)
            else:
                swap.undo(connection, self.schema, self.dumps.lines)
            return {"outcome": "completed" if swapped else "undone" if notes else "not begun or ended", **notes}

    def undo(self) -> dict[str, Any]:
        """Undo an incomplete restore."""
        with self.alone() as connection:
            swap.undo(connection, self.schema, self.dumps.lines)
        return {"outcome": "undone"}

    def finish(self) -> dict[str, Any]:
        """Finish a restore; the former live tables remain in a separate schema."""
        with self.alone() as connection:
            return {"before": swap.finish(connection, self.schema)}

    def discard(self, schema: str) -> dict[str, Any]:
        """Drop a schema left by a restore."""
        if not re.fullmatch(rf"{re.escape(self.schema)}_(scratch|before_\d+)", schema):
            raise RestoreError(f"'{schema}' is not a schema left by a restore. Nothing was removed.")
        with self.alone() as connection:
            drop_schema(connection, schema)
        return {"removed": schema}


def listed() -> dict[str, Any] | None:
    """Return the dumps that the control machine lists, as JSON on standard input; None without a list."""
    text = "" if sys.stdin.isatty() else sys.stdin.read()
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def report(text: str) -> None:
    """Log an event to standard error, which is the journal for a run of the timer."""
    print(text, file=sys.stderr, flush=True)


def describe(error: BaseException) -> str:
    """Return an error as a message."""
    if isinstance(error, pymysql.err.MySQLError):
        return "MySQL: " + " ".join(str(argument) for argument in error.args)
    return str(error)


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="outport-rds-backup")
    parser.add_argument("config", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("backup", "status", "swap", "recover", "undo", "finish"):
        commands.add_parser(command)
    commands.add_parser("dump").add_argument("reason")
    for command in ("compare", "scratch"):
        commands.add_parser(command).add_argument("dump_name", metavar="DUMP")
    prepare = commands.add_parser("prepare")
    prepare.add_argument("dump_name", metavar="DUMP")
    prepare.add_argument("present", metavar="PRESENT")
    commands.add_parser("discard").add_argument("schema")
    options = vars(parser.parse_args())
    config, command = json.loads(options.pop("config").read_text()), options.pop("command")
    try:
        backups = Backups(config, listed())
        if command == "backup":
            with backups.alone() as connection:
                if schema_exists(connection, swap.incoming(backups.schema)):
                    raise RestoreError(
                        "A restore is in progress, or was interrupted. Run playbooks/restore.yml, then back up again."
                    )
                manifest = backups.backup("backup")
            size = f"{manifest['bytes']} bytes, {manifest['compressed_bytes']} compressed, {manifest['seconds']} s"
            report(f"Dump {backups.store.address(manifest['dump'])} is complete: {size}")
            for warning in manifest["warnings"]:
                report(f"Warning: {warning}")
        elif command == "dump":
            print(json.dumps(backups.backup(options["reason"])))
        else:
            print(json.dumps(getattr(backups, command)(**options)))
    except (RestoreError, PermissionError, pymysql.err.MySQLError, ClientError, BotoCoreError) as error:
        sys.exit(describe(error))
