"""Fixtures: the app on a fresh database, created by its migrations and its seed command.

The database is SQLite; with `--mysql` a separate schema on the lab's MySQL server.
"""

import io
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import config
import pytest
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp import create_app
from myflaskapp.database.engine import db
from PIL import Image
from sqlalchemy import create_engine, insert, make_url, text

from lab import aws

APP_DIRECTORY = Path(__file__).resolve().parents[2] / "app"
SCHEMA = "outport_tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --mysql."""
    parser.addoption("--mysql", action="store_true", help="test on the MySQL of the lab, which has to be up")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --mysql, select the tests that use the database only; the others have run without it."""
    if config.getoption("--mysql"):
        using = [item for item in items if "mysql_url" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in using])
        items[:] = using


@pytest.fixture
def app_directory() -> Path:
    """Return the directory of the app."""
    return APP_DIRECTORY


def make_app(directory: Path, url: str = "", **environ: str) -> Flask:
    """Return the app with its photos, and without a URL its database too, in `directory`."""
    return create_app(
        config.load(
            {
                "DATABASE_URL": url or f"sqlite:///{directory / 'listings.sqlite3'}",
                "MEDIA_FOLDER": str(directory / "media"),
                "WRITES_PER_MINUTE": "1000",
                **environ,
            }
        )
    )


def run(app: Flask, *arguments: str, **options: Any) -> str:
    """Run a command of the app and return its output."""
    result = app.test_cli_runner().invoke(args=arguments, **options)
    assert result.exit_code == 0, result.output
    return result.output


def most(page: str) -> dict[str, int]:
    """Return the maximum length of each field of a page, by the field's name."""
    found = {}
    for field in re.findall(r"<(?:input|textarea)[^>]*maxlength[^>]*>", page):
        name, length = (re.search(rf'{part}="([^"]+)"', field) for part in (" name", "maxlength"))
        assert name
        assert length
        found[name[1]] = int(length[1])
    return found


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty schema on the lab's MySQL, removed at the end; empty without --mysql."""
    if not request.config.getoption("--mysql"):
        yield ""
        return
    url = aws.database_url(SCHEMA)
    recreate_schema(url)
    yield url
    administer(url, f"DROP DATABASE {SCHEMA}")


def recreate_schema(url: str) -> None:
    """Replace the schema with an empty one."""
    administer(url, f"DROP DATABASE IF EXISTS {SCHEMA}", f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")


def administer(url: str, *statements: str) -> None:
    """Run statements on the server, outside the schema."""
    engine = create_engine(make_url(url).set(database=""))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, mysql_url: str) -> tuple[Path, Rows]:
    """A directory with a database and photos that were migrated and seeded once, and all of its rows; tests work on copies."""
    directory = tmp_path_factory.mktemp("seeded")
    app = make_app(directory, mysql_url)
    run(app, "db", "upgrade")
    run(app, "seed")
    with app.app_context():
        rows = {
            table.name: [dict(row._mapping) for row in db.session.execute(table.select())]
            for table in db.metadata.sorted_tables
        }
        db.session.remove()
        db.engine.dispose()
    return directory, rows


@pytest.fixture
def empty_app(tmp_path: Path, mysql_url: str, seeded: tuple[Path, Rows]) -> Iterator[Flask]:
    """The app with empty tables."""
    app = make_app(tmp_path, mysql_url)
    run(app, "db", "upgrade")
    if mysql_url:
        restore(app, {})
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(seeded: tuple[Path, Rows], tmp_path: Path, mysql_url: str) -> Iterator[Flask]:
    """The app with its sample content."""
    directory, rows = seeded
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    app = make_app(tmp_path, mysql_url)
    if mysql_url:
        restore(app, rows)
    yield app
    with app.app_context():
        db.engine.dispose()


def restore(app: Flask, rows: Rows) -> None:
    """Replace the rows of the tables."""
    generated = {"price_order"}
    with app.app_context(), db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(table.delete())
        for table in db.metadata.sorted_tables:
            entries = [{k: v for k, v in row.items() if k not in generated} for row in rows.get(table.name, [])]
            if entries:
                connection.execute(insert(table), entries)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the seeded app."""
    return app.test_client()


@pytest.fixture
def stranded(tmp_path: Path) -> FlaskClient:
    """A client of an app without a database."""
    return make_app(tmp_path, f"sqlite:///{tmp_path / 'gone' / 'listings.sqlite3'}").test_client()


@pytest.fixture
def submission() -> dict[str, Any]:
    """A valid submission."""
    return {
        "title": "Kettle, hardly used",
        "description": "Whistles.\nLoudly.",
        "category": "for-sale",
        "place": "Brigus",
        "price_cents": 1250,
        "contact_email": "kettle@example.org",
    }


Picture = Callable[..., bytes]


@pytest.fixture(scope="session")
def picture() -> Picture:
    """Creates a picture file: `picture(800, 600, "PNG", **options of Image.save)`; noise, so that it is not tiny."""

    def make(width: int = 800, height: int = 600, kind: str = "JPEG", **options: Any) -> bytes:
        chance = random.Random(width * height)
        small = Image.frombytes("RGB", (16, 12), chance.randbytes(16 * 12 * 3))
        file = io.BytesIO()
        small.resize((width, height)).save(file, kind, **options)
        return file.getvalue()

    return make


@pytest.fixture
def count(app: Flask) -> Callable[[str], int]:
    """Counts the rows of a table."""

    def ask(table: str) -> int:
        with app.app_context():
            return db.session.scalar(text(f"SELECT COUNT(*) FROM {table}")) or 0

    return ask
