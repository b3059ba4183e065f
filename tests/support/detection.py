"""What bin/init finds in a repository."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from init import cli
from init.project import Project
from init.report import Report
from init.source import opened

Detect = Callable[..., Report]
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"


def read(directory: Path, **given: Any) -> Report:
    """Return what is found in a repository."""
    report = Report()
    with opened(str(directory), "", "", report) as source:
        cli.read(Project(source), given, "shop.example.org", report)
    return report


def values(report: Report) -> dict[str, Any]:
    """Return the settings that were found, without those that are none."""
    return {name: finding.value for name, finding in report.findings.items() if finding.value not in ("", [], {})}


def settings(code: str) -> dict[str, str]:
    """The files of an app with a module of settings."""
    return {"app.py": FLASK, "config.py": code, "requirements.txt": "flask\nsqlalchemy\nredis\n"}
