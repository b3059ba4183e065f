"""Ansible filter: `database_schema` returns the name of an app's schema in MySQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# RDS refuses the words that MySQL 8.4 reserves, and the name of MySQL's own schema.
RESERVED = frozenset(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split())


def database_schema(app_name: str) -> str:
    """Return the name of the schema: the app's, with underscores, and followed by _app where MySQL reserves that name."""
    name = app_name.replace("-", "_")
    return f"{name}_app" if name in RESERVED else name


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by its name."""
        return {"database_schema": database_schema}
