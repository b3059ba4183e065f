"""Submissions of listings and messages."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import make_app
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp.database.engine import db
from myflaskapp.database.models import Listing, Status, now
from sqlalchemy import select, text, update
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

URL = "/api/v1/submissions"
MESSAGES = "/api/v1/messages"
MESSAGE = {"name": "A visitor 😀", "email": "visitor@example.org", "body": "Hello\nthere"}


def complaints(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    return {error["pointer"]: error["detail"] for error in answer.json["errors"]}


def listing_of(app: Flask, receipt: str) -> int:
    """Return the id of the listing with this receipt."""
    with app.app_context():
        return db.session.scalar(select(Listing.id).where(Listing.receipt == receipt)) or 0


def publish(app: Flask, receipt: str) -> int:
    """Publish a listing as a moderator does; return its id."""
    with app.app_context():
        listing = db.session.scalars(select(Listing).where(Listing.receipt == receipt)).one()
        listing.status, listing.published_at, listing.fingerprint = Status.PUBLISHED.value, now(), None
        db.session.commit()
        return listing.id


def test_a_listing_is_pending_until_it_is_published(
    app: Flask, client: FlaskClient, submission: dict[str, Any]
) -> None:
    submission |= {"title": "Kettle 🫖 שלום", "description": "O'Brien's <b>\r\nline"}
    answer = client.post(URL, json=submission)
    assert answer.status_code == 201
    assert answer.json["status"] == "pending"
    receipt, number = answer.json["receipt"], listing_of(app, answer.json["receipt"])
    assert client.get(f"{URL}/{receipt}").json == answer.json
    assert client.get(f"/api/v1/listings/{number}").status_code == 404
    assert client.get(f"/listings/{number}").status_code == 404
    publish(app, receipt)
    shown = client.get(f"/api/v1/listings/{number}").json
    assert (shown["title"], shown["description"]) == ("Kettle 🫖 שלום", "O'Brien's <b>\nline")
    assert client.get("/api/v1/listings", query_string={"q": "🫖 kettle"}).json["items"][0]["id"] == number
    assert client.get(f"{URL}/{receipt}").json["status"] == "published"
    page = client.get(f"/listings/{number}").text
    assert "Kettle 🫖 שלום" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_sender_sees_the_status_of_the_listing(app: Flask, client: FlaskClient, submission: dict[str, Any]) -> None:
    answer = client.post(URL, json=submission).json
    page = client.get(answer["url"])
    assert page.status_code == 200
    assert "Kettle, hardly used" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    # No referrer for other sites, but an origin for the page's own forms.
    assert page.headers["Referrer-Policy"] == "same-origin"
    number = publish(app, answer["receipt"])
    assert f"/listings/{number}" in client.get(answer["url"]).text
    for unknown in ("/submissions/nothing", f"{URL}/nothing"):
        assert client.get(unknown).status_code == 404


def test_a_duplicate_listing_is_stored_once(
    app: Flask, client: FlaskClient, submission: dict[str, Any], count: Callable[[str], int]
) -> None:
    before = count("listing")
    first, second = client.post(URL, json=submission), client.post(URL, json=submission)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json == first.json
    assert count("listing") == before + 1
    assert client.post(URL, json=submission | {"price_cents": 1300}).status_code == 201
    publish(app, first.json["receipt"])
    assert client.post(URL, json=submission).status_code == 201


def test_simultaneous_duplicates_are_one_listing(
    app: Flask, submission: dict[str, Any], count: Callable[[str], int]
) -> None:
    before = count("listing")

    def send(_: int) -> tuple[int, str]:
        answer = app.test_client().post(URL, json=submission)
        return answer.status_code, answer.json["receipt"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({receipt for _, receipt in answers}) == 1
    assert count("listing") == before + 1


def test_duplicates_that_waited_for_a_cancelled_one_are_one_listing(
    app: Flask, submission: dict[str, Any], count: Callable[[str], int]
) -> None:
    """MySQL grants all of them the cancelled one's lock at once, which is a deadlock."""
    listing = listing_of(app, app.test_client().post(URL, json=submission).json["receipt"])
    with app.app_context(), db.engine.connect() as first:
        fingerprint = db.session.scalar(select(Listing.fingerprint).where(Listing.id == listing))
        publish(app, app.test_client().post(URL, json=submission).json["receipt"])
        before = count("listing")
        first.execute(update(Listing).where(Listing.id == listing).values(fingerprint=fingerprint))
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(app.test_client().post, URL, json=submission) for _ in range(8)]
            time.sleep(1)
            first.rollback()
            answers = [future.result() for future in sent]
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["receipt"] for answer in answers}) == 1
    assert count("listing") == before + 1


def test_simultaneous_duplicates_are_one_message(app: Flask, count: Callable[[str], int]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: app.test_client().post(MESSAGES, json=MESSAGE).status_code, range(8))
        assert set(answers) == {201}
    assert count("message") == 1


def test_simultaneous_first_messages_are_all_accepted(app: Flask, count: Callable[[str], int]) -> None:
    def send(number: int) -> int:
        message, visitor = MESSAGE | {"body": str(number)}, {"REMOTE_ADDR": f"192.0.2.{number}"}
        return app.test_client().post(MESSAGES, json=message, environ_overrides=visitor).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(40))) == {201}
    assert count("message") == 40


def test_one_address_is_rate_limited_and_others_are_not(tmp_path: Path, mysql_url: str, app: Flask) -> None:
    limited = make_app(tmp_path, mysql_url, WRITES_PER_MINUTE="3").test_client()

    def send(address: str) -> Any:
        return limited.post(MESSAGES, json=MESSAGE, environ_overrides={"REMOTE_ADDR": address})

    assert [send("192.0.2.1").status_code for _ in range(5)] == [201, 201, 201, 429, 429]
    refused = send("192.0.2.1")
    assert refused.mimetype == "application/problem+json"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert send("192.0.2.2").status_code == 201
    # An IPv6 network counts as one address.
    assert [send(f"2001:db8::{n}").status_code for n in range(1, 5)] == [201, 201, 201, 429]
    assert send("2001:db8:0:1::1").status_code == 201


HOSTILE = (
    "'; DROP TABLE listing; --",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "${7*7}",
    "../../etc/passwd",
    "%00%s%n",
)


@pytest.mark.parametrize("attack", HOSTILE)
def test_sql_and_markup_are_only_text(app: Flask, client: FlaskClient, submission: dict[str, Any], attack: str) -> None:
    texts = {name: f"{attack} {name}" for name in ("title", "description", "place")}
    number = publish(app, client.post(URL, json=submission | texts).json["receipt"])
    shown = client.get(f"/api/v1/listings/{number}").json
    assert {name: shown[name] for name in texts} == texts
    page = client.get(f"/listings/{number}").text
    assert "<script>alert" not in page
    assert "49" not in page.split("<h1")[1].split("</h1>")[0]
    for name in ("q", "place", "category", "cursor", "sort"):
        assert client.get("/api/v1/listings", query_string={name: attack}).status_code in (200, 404, 422)
    assert client.post(MESSAGES, json=MESSAGE | {"name": attack, "body": attack}).status_code == 201


@pytest.mark.parametrize("price", [None, 0, 5.0, 1_000_000_000])
def test_valid_prices(client: FlaskClient, submission: dict[str, Any], price: float | None) -> None:
    assert client.post(URL, json=submission | {"price_cents": price}).status_code == 201


def test_all_missing_fields_are_reported_at_once(client: FlaskClient) -> None:
    wrong = complaints(client.post(URL, json={}))
    assert set(wrong) == {"#/title", "#/description", "#/category", "#/place", "#/contact_email"}
    assert set(wrong.values()) == {"is required"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("title", value) for value in ("", " \t ", "\u200b", "x" * 121, "a\0b", "two\nlines", 5, True, [], {}, None)),
        *(("description", value) for value in ("x" * 4001, "\ud800", "\x1b[31m")),
        *(("price_cents", value) for value in (-1, 1.5, 1e400, float("nan"), "12", True, 10**9 + 1, 10**4000, [])),
        *(
            ("contact_email", value)
            for value in ("a", "a@b", "a b@example.org", "@example.org", "a@example.org\n.x", "é")
        ),
        *(("category", value) for value in ("nothing", 3, "\0")),
        ("status", "published"),
        ("id", 1),
    ],
)
def test_each_invalid_field_is_reported(
    client: FlaskClient, submission: dict[str, Any], field: str, value: object
) -> None:
    assert set(complaints(client.post(URL, json=submission | {field: value}))) == {f"#/{field}"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 60_000, 400),
        (b'{"price_cents":' + b"9" * 5000 + b"}", 400),
        (b'{"title":"' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_not_a_json_object(client: FlaskClient, body: bytes, status: int) -> None:
    answer = client.post(URL, data=body, content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_json_that_is_nested_too_deep_is_rejected(client: FlaskClient) -> None:
    for depth in range(700, 1000, 3):
        body = b'{"title":' + b"[" * depth + b"]" * depth + b"}"
        answer = client.post(URL, data=body, content_type="application/json")
        assert answer.status_code in (400, 422), depth


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""])
@pytest.mark.parametrize("path", [URL, MESSAGES])
def test_forms_of_other_sites_are_refused(client: FlaskClient, kind: str, path: str) -> None:
    assert client.post(path, data=b"{}", content_type=kind).status_code == 415


def test_a_message_is_stored(client: FlaskClient, count: Callable[[str], int]) -> None:
    # A duplicate gets the same response.
    first, second = (client.post(MESSAGES, json=MESSAGE) for _ in range(2))
    assert (first.status_code, first.json) == (second.status_code, second.json) == (201, {"status": "received"})
    assert count("message") == 1
    for field in MESSAGE:
        assert client.post(MESSAGES, json=MESSAGE | {field: f"another.{MESSAGE['email']}"}).status_code == 201
    assert count("message") == 4
    assert set(complaints(client.post(MESSAGES, json={"name": 1}))) == {"#/name", "#/email", "#/body"}
    assert count("message") == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
    ],
)
@pytest.mark.parametrize("path", [URL, MESSAGES, "/api/v1/photos", "/moderation/login"])
def test_requests_of_another_site_are_refused(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    assert client.post(path, json=MESSAGE, headers=headers).status_code == 403


def test_requests_of_this_site_are_accepted(client: FlaskClient) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post(MESSAGES, json=MESSAGE, headers=headers).status_code == 201


BAD_ROWS = {
    "listing": {
        "title": ["", "x" * 121],
        "description": ["", "x" * 4001],
        "place": ["", "x" * 81],
        "contact_email": ["", "x" * 255],
        "price_cents": [-1, 10**9 + 1],
        "status": ["lost"],
    },
    "message": {"name": ["", "x" * 81], "email": ["", "x" * 255], "body": ["", "x" * 4001]},
}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (table, column, value)
        for table, columns in BAD_ROWS.items()
        for column, values in columns.items()
        for value in values
    ],
)
def test_the_database_itself_enforces_the_limits(
    app: Flask, client: FlaskClient, table: str, column: str, value: object
) -> None:
    client.post(MESSAGES, json=MESSAGE)
    with app.app_context(), pytest.raises((IntegrityError, OperationalError, DataError)):
        db.session.execute(text(f"UPDATE {table} SET {column} = :value"), {"value": value})
