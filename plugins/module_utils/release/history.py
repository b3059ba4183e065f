"""The history of an app's releases on a host: each switch, and what was rolled back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.release.layout import App, commit_of


def entries(app: App) -> list[dict[str, Any]]:
    """Return all switches, oldest first: dicts of at, action, from, to, by, outcome (done or refused), reason, seconds."""
    return [json.loads(line) for line in app.history.read_text().splitlines()] if app.history.exists() else []


def append(app: App, **entry: Any) -> None:
    """Add a switch with the current time."""
    with app.history.open("a") as file:
        file.write(json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **entry}) + "\n")


def rolled_back(switches: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the releases and commits that were rolled back and not deployed since, each with the rollback's entry.

    Commits too, because changed settings give the same commit another release id.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in switches:
        if entry["outcome"] != "done":
            continue
        old, new = entry["from"], entry["to"]
        if entry["action"] == "rollback" and old:
            found[old] = entry
            # Between two releases of one commit, only the settings were rolled back.
            if commit_of(old) != commit_of(new):
                found[commit_of(old)] = entry
        again = commit_of(new) in found
        found = {
            name: known
            for name, known in found.items()
            if name != new and not (again and commit_of(name) == commit_of(new))
        }
    return found
