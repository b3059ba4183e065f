"""The app on a fresh SQLite database, migrated by its own migration and filled by its own seed command."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import config
import pytest
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp import create_app

APP_FOLDER = Path(__file__).resolve().parents[2] / "app"


@pytest.fixture
def app_folder() -> Path:
    """Where the app is."""
    return APP_FOLDER


def make_app(folder: Path) -> Flask:
    """Return the app with its database in `folder`."""
    return create_app(config.load({"DATABASE_URL": f"sqlite:///{folder / 'listings.sqlite3'}"}))


def run(app: Flask, *arguments: str) -> None:
    """Run a command of the app's command line."""
    result = app.test_cli_runner().invoke(args=arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def seeded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that was migrated and seeded once; tests work on copies."""
    folder = tmp_path_factory.mktemp("seeded")
    app = make_app(folder)
    run(app, "db", "upgrade")
    run(app, "seed")
    return folder


@pytest.fixture
def empty_app(tmp_path: Path) -> Flask:
    """The app with tables and nothing in them."""
    app = make_app(tmp_path)
    run(app, "db", "upgrade")
    return app


@pytest.fixture
def app(seeded_folder: Path, tmp_path: Path) -> Flask:
    """The app with its sample content."""
    shutil.copy(seeded_folder / "listings.sqlite3", tmp_path)
    return make_app(tmp_path)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A visitor of the seeded app."""
    with app.test_client() as visitor:
        yield visitor


@pytest.fixture
def listing() -> dict[str, object]:
    """A listing that the app takes."""
    return {
        "title": "Kettle, hardly used",
        "description": "Whistles.\nLoudly.",
        "category": "for-sale",
        "place": "Brigus",
        "price_cents": 1250,
        "contact_email": "kettle@example.org",
    }
