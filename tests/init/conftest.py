"""Repositories of apps."""

from pathlib import Path
from typing import Any

import pytest
from support import catalogue
from support.detection import Detect, read

from init.report import Report


@pytest.fixture
def detect(tmp_path: Path) -> Detect:
    """Return a function that reads an app with the given files (contents by path)."""

    def detect(files: dict[str, str], **given: Any) -> Report:
        for name, text in files.items():
            path = tmp_path / "app" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        catalogue.run(tmp_path / "app", "git", "init", "--quiet", "--initial-branch=main")
        catalogue.commit(tmp_path / "app", "Add the app")
        return read(tmp_path / "app", **given)

    return detect


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """The repository of a small app."""
    return catalogue.create("tutorial", tmp_path)
