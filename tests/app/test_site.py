"""The site for visitors, load balancers and operators."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import config
import pytest
from conftest import most
from flask import Flask, request
from flask.testing import FlaskClient
from myflaskapp import create_app
from myflaskapp.api import schemas
from myflaskapp.database import models
from myflaskapp.database.engine import db
from myflaskapp.media import photos
from werkzeug.test import Client

PAGES = ("index.html", "listings.html", "contact.html", "resources.html", "submit.html")


class Markup(HTMLParser):
    """Collects tags, attributes, and inline scripts and styles of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inline += data.strip()


def test_alive_and_ready(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})
        assert answer.headers["Cache-Control"] == "no-store"


def test_without_tables_it_is_not_ready(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    bare = create_app(config.load({"DATABASE_URL": url, "MEDIA_FOLDER": str(tmp_path / "media")}))
    assert bare.test_client().get("/readyz").status_code == 503


def test_without_a_writable_media_directory_it_is_not_ready(app: Flask) -> None:
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    # Nobody can write there.
    full = create_app(config.load({"DATABASE_URL": url, "MEDIA_FOLDER": "/proc"}))
    assert full.test_client().get("/readyz").status_code == 503


def test_without_a_database_it_is_alive_but_not_ready(stranded: FlaskClient) -> None:
    assert stranded.get("/healthz").status_code == 200
    answer = stranded.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "unavailable"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_database_reads_and_writes_are_a_503(stranded: FlaskClient) -> None:
    message = {"name": "A", "email": "a@example.org", "body": "b"}
    for answer in (
        stranded.get("/api/v1/listings"),
        stranded.get("/api/v1/listings/1"),
        stranded.post("/api/v1/messages", json=message),
    ):
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
    page = stranded.get("/listings/1")
    assert (page.status_code, page.mimetype) == (503, "text/html")
    assert int(page.headers["Retry-After"]) > 0


def test_a_bug_is_a_problem_without_details(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    app.add_url_rule("/api/v1/bug", view_func=lambda: {}["private"])
    answer = app.test_client().get("/api/v1/bug")
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert "private" not in answer.text
    assert "KeyError" in capsys.readouterr().out


def test_a_bug_on_a_private_page_does_not_log_its_url(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    app.view_functions["routes.show_submission"] = lambda receipt: {}["private"]
    assert app.test_client().get("/submissions/a-secret", headers={"X-Request-ID": "abc"}).status_code == 500
    out = capsys.readouterr().out
    assert "a-secret" not in out
    told = [json.loads(line) for line in out.splitlines()]
    (bug,) = [line for line in told if line["level"] == "error"]
    assert (bug["request_id"], bug["route"]) == ("abc", "/submissions/<receipt>")
    assert "KeyError" in bug["error"]


def test_the_page_of_a_listing(client: FlaskClient) -> None:
    page = client.get("/listings/16")
    assert page.status_code == 200
    for part in ("Saltbox house for rent by the week", "$895", "Trinity", "Homes &amp; rooms", "saltbox@example.org"):
        assert part in page.text


def test_a_missing_page_is_a_page(client: FlaskClient) -> None:
    for path in ("/nothing", "/listings/999", "/a/b/c", "/%00", "/..%2frun.py", "/" + "x" * 3000):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert "Harbour Board" in answer.text


@pytest.mark.parametrize(
    "name", ["", *PAGES, "styles.css", "scripts.js", "scripts/forms.js", "newfoundland_cover.jpg", "favicon.ico"]
)
def test_the_app_alone_serves_the_client(client: FlaskClient, name: str) -> None:
    assert client.get(f"/{name}").status_code == 200


def test_a_shortened_url_is_redirected_to_the_listings(client: FlaskClient) -> None:
    assert client.get("/listings").headers["Location"] == "/listings.html"


@pytest.mark.parametrize("path", [*(f"/{name}" for name in PAGES), "/listings/16", "/nothing"])
def test_pages_conform_to_a_strict_content_security_policy(client: FlaskClient, path: str) -> None:
    page = Markup(client.get(path).text)
    assert page.inline == ""
    for tag, attributes in page.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag in ("img", "script") or attributes.get("rel") == "stylesheet":
            address = attributes.get("src") or attributes.get("href") or ""
            assert re.fullmatch(r"/?([a-z]+/)?[a-z0-9_-]+\.(css|js|jpg|svg|webp)", address)


@pytest.mark.parametrize("path", [*(f"/{name}" for name in PAGES), "/listings/16"])
def test_pages_are_accessible(client: FlaskClient, path: str) -> None:
    tags = Markup(client.get(path).text).tags
    names = [tag for tag, _ in tags]
    assert names.count("h1") == names.count("main") == 1
    assert dict(tags)["html"] == {"lang": "en-CA"}
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes["for"] for tag, attributes in tags if tag == "label"}
    for tag, attributes in tags:
        if tag in ("input", "select", "textarea"):
            assert attributes["id"] in labelled
        if tag == "img":
            assert attributes["alt"] is not None
            assert int(attributes["width"] or 0) > 0
            assert int(attributes["height"] or 0) > 0
        for described in (attributes.get("aria-describedby") or "").split():
            assert described in ids


FIELDS = {
    "index.html": {"q": schemas.LONGEST_SEARCH},
    "listings.html": {"q": schemas.LONGEST_SEARCH, "place": models.PLACE, "min_price": 14, "max_price": 14},
    "contact.html": {"name": models.NAME, "email": models.EMAIL, "body": models.BODY},
    "submit.html": {
        "title": models.TITLE,
        "description": models.DESCRIPTION,
        "place": models.PLACE,
        "price_cents": 14,
        "contact_email": models.EMAIL,
    },
}


@pytest.mark.parametrize("name", FIELDS)
def test_forms_have_and_show_the_limits_of_the_tables(app_directory: Path, name: str) -> None:
    page = (app_directory / "client" / name).read_text()
    assert most(page) == FIELDS[name]
    if name in ("contact.html", "submit.html"):
        for field, length in FIELDS[name].items():
            hint = re.search(rf'id="{field}-hint">([^<]*)<', page)
            assert hint, field
            assert field == "price_cents" or f"{length:,} characters" in hint[1], field


def test_scripts_have_the_limits_of_the_app(app_directory: Path) -> None:
    script = (app_directory / "client/scripts.js").read_text()
    told = {name: int(value) for name, value in re.findall(r"const ([A-Z_]+) = ([0-9]+);", script)}
    assert told["MOST_CENTS"] == models.MOST_CENTS
    assert told["MOST_PHOTOS"] == photos.MOST_PHOTOS
    assert told["MOST_BYTES"] == photos.MAX_BYTES
    form = (app_directory / "client/submit.html").read_text()
    assert f"up to {models.MOST_CENTS // models.CENTS:,}; " in form
    assert f"Up to {photos.MOST_PHOTOS}, each" in form
    assert f"at most {photos.MAX_BYTES // 1_000_000} MB" in form
    least, most_pixels = (choose(photos.MAX_PIXELS.values()) // 1_000_000 for choose in (min, max))
    assert f"Above {least} million pixels send a JPEG, which may have {most_pixels}." in form


def test_all_pages_have_the_same_header_menu_and_footer(client: FlaskClient) -> None:
    frames = set()
    for path in (*(f"/{name}" for name in PAGES), "/listings/16"):
        parts = re.findall(r"<header.*?</header>|<nav.*?</nav>|<footer.*?</footer>", client.get(path).text, re.DOTALL)
        assert len(parts) > 1
        frames.add(re.sub(r'aria-current="page"|\s+|(?<=href=")/', "", "".join(parts)))
    assert len(frames) == 1


def test_pages_are_light(app_directory: Path) -> None:
    client = app_directory / "client"
    size = {path.relative_to(client).as_posix(): path.stat().st_size for path in client.rglob("*") if path.is_file()}
    assert {name for name in size if "/" not in name} == {*PAGES, "styles.css", "scripts.js", "newfoundland_cover.jpg"}
    photos = [name for name in size if name.endswith(".jpg")]
    assert max(size[name] for name in photos) < 150_000
    art = sum(bytes for name, bytes in size.items() if name.startswith("art/"))
    for page in PAGES:
        scripts = re.findall(r'<script src="(.*?)"', (client / page).read_text())
        assert size[page] + size["styles.css"] + sum(size[script] for script in scripts) + art < 100_000


def test_each_request_is_one_json_line_without_personal_data(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/api/v1/listings?q=secret-search", headers={"X-Request-ID": "abc-123", "User-Agent": "me"})
    assert answer.headers["X-Request-ID"] == "abc-123"
    out = capsys.readouterr().out
    line = json.loads(out)
    assert {key: line[key] for key in ("request_id", "method", "route", "status")} == {
        "request_id": "abc-123",
        "method": "GET",
        "route": "/api/v1/listings",
        "status": 200,
    }
    assert line["ms"] >= 0
    assert "secret-search" not in out


def test_a_librarys_warning_is_one_json_line(app_directory: Path, tmp_path: Path) -> None:
    program = "import logging, run; logging.getLogger('sqlalchemy.pool').warning('lost', exc_info=ValueError('why'))"
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path / 'listings.sqlite3'}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = (sys.executable, "-c", program)
    done = subprocess.run(
        command, cwd=app_directory, env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    line = json.loads(done.stdout)
    assert (line["level"], line["message"], done.stderr) == ("warning", "lost", "")
    assert "why" in line["error"]


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "site.example:8443"])
def test_forms_of_the_sites_own_pages_are_accepted_for_any_name(client: FlaskClient, host: str) -> None:
    message = {"name": "A", "email": "a@example.org", "body": "b"}
    for origin, status in ((f"https://{host}", 201), ("https://other.example", 403), (f"http://{host}", 403)):
        answer = client.post("/api/v1/messages", json=message, base_url=f"https://{host}", headers={"Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é", '"'])
def test_an_invalid_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"])


def test_only_one_proxy_is_trusted(app: Flask) -> None:
    app.add_url_rule("/api/v1/where", view_func=lambda: request.url_root)
    headers = {"X-Forwarded-Host": "outer.example, site.example", "X-Forwarded-Proto": "http, https"}
    assert Client(app).get("/api/v1/where", headers=headers).text == "https://site.example/"


def test_seeding_twice_changes_nothing(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["seed"])
    assert result.exit_code == 0
    assert "nothing added" in result.output
    assert len(app.test_client().get("/api/v1/listings?limit=100").json["items"]) == 16


def test_seeding_does_not_change_a_database_in_use(app: Flask) -> None:
    with app.app_context():
        for name in ("photo", "listing", "resource"):
            db.session.execute(db.metadata.tables[name].delete())
        db.session.commit()
    assert "nothing added" in app.test_cli_runner().invoke(args=["seed"]).output
    assert app.test_client().get("/api/v1/listings").json["items"] == []


def test_migrations_upgrade_and_downgrade_and_match_the_models(empty_app: Flask) -> None:
    run = empty_app.test_cli_runner().invoke
    for arguments in (["db", "check"], ["db", "downgrade", "base"], ["db", "upgrade"], ["db", "check"]):
        result = run(args=arguments)
        assert result.exit_code == 0, result.output


def test_an_interrupted_migration_is_completed_by_the_next(empty_app: Flask) -> None:
    with empty_app.app_context(), db.engine.begin() as connection:
        mysql = db.engine.dialect.name == "mysql"
        lost = {"ix_listing_price": "listing", "ix_message_fingerprint": "message"}
        indexes = [f"DROP INDEX {name}" + (f" ON {table}" if mysql else "") for name, table in lost.items()]
        for statement in ("DROP TABLE rate_limit", *indexes, "DELETE FROM alembic_version"):
            connection.exec_driver_sql(statement)
    run = empty_app.test_cli_runner().invoke
    assert run(args=["db", "upgrade"]).exit_code == 0
    assert run(args=["db", "check"]).exit_code == 0
