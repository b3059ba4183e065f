"""Apps other than the example app, deployed by settings only."""

import json
from pathlib import Path
from typing import Any

from support.hosts import on_host

# Options of a run whose duration does not matter to the test.
QUICK = ("-e", "gunicorn_monitor_seconds=3", "-e", "gunicorn_readiness_delay=1")
Options = tuple[str, ...]

# A private requirement, at a git URL.
SHELF = {
    "pyproject.toml": '[project]\nname = "shelf"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["shelf"]\n',
    "shelf.py": 'NAME = "shelf"\n',
}


def settings(directory: Path, **changed: Any) -> Options:
    """Options that override the lab's settings with a JSON file."""
    file = directory / "settings.json"
    file.write_text(json.dumps({"app_ref": "main", "app_subdir": "", "app_client_dir": "", **changed}))
    return ("-e", f"@{file}", *QUICK)


def timers() -> set[str]:
    """The app's timers."""
    shown = on_host("systemctl list-units --plain --no-legend 'listings-*.timer'")
    return {line.split()[0] for line in shown.splitlines()}
