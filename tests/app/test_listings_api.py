"""What a program that reads and posts listings notices."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp.database import db
from myflaskapp.models import Listing, Status
from sqlalchemy import select

URL = "/api/v1/listings"


def items(client: FlaskClient, **query: object) -> list[dict[str, Any]]:
    answer = client.get(URL, query_string={"limit": 100, **query})
    assert answer.status_code == 200
    return answer.json["items"]


def complaints(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == 422
    return {error.get("pointer", error.get("parameter")): error["detail"] for error in answer.json["errors"]}


def test_newest_come_first(client: FlaskClient) -> None:
    times = [item["created_at"] for item in items(client)]
    assert len(times) == 16
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("limit", [1, 3, 5, 16])
def test_pages_show_each_listing_once_even_when_times_are_equal(app: Flask, client: FlaskClient, limit: int) -> None:
    with app.app_context():
        moment = db.session.scalar(select(Listing.created_at))
        for row in db.session.scalars(select(Listing).limit(8)):
            row.created_at = moment
        db.session.commit()
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(URL, query_string={"limit": limit, "cursor": cursor}).json
        assert 0 < len(page["items"]) <= limit
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [item["id"] for item in items(client)]


def test_filters(client: FlaskClient) -> None:
    assert [item["title"] for item in items(client, q="oak PUNT")] == ["Eighteen-foot punt, oak and spruce"]
    assert {item["category"]["slug"] for item in items(client, category="jobs")} == {"jobs"}
    assert {item["place"] for item in items(client, place="st. j")} == {"St. John's"}
    assert items(client, q="dog", category="homes", place="St. John's")[0]["title"] == "Sunny room near the university"


@pytest.mark.parametrize(
    "query", [{"q": "%"}, {"q": "_"}, {"q": "\\"}, {"place": "%"}, {"category": "nothing"}, {"q": "🛶"}]
)
def test_filters_take_signs_literally(client: FlaskClient, query: dict[str, str]) -> None:
    assert items(client, **query) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "-1", "101", "x", "", "9" * 5000, "٣", "1.5")),
        *(("cursor", value) for value in ("x", "!!", "AAAA", "é", "MTIz", "OTk5OTk5OTk5OTk5LjE", "MS45OTk5OTk5OTk5")),
        ("q", "a\0b"),
        ("q", "x" * 101),
        ("place", "x" * 81),
    ],
)
def test_a_bad_query_is_named(client: FlaskClient, name: str, value: str) -> None:
    assert name in complaints(client.get(URL, query_string={name: value}))


def test_one_listing_tells_its_address_and_the_list_does_not(client: FlaskClient) -> None:
    first = items(client)[0]
    one = client.get(f"{URL}/{first['id']}").json
    assert one == first | {"contact_email": "saltbox@example.org"}


@pytest.mark.parametrize("path", ["0", "-1", "999", "x", "%00", "1.0", "9" * 30, "9" * 5000, "٣", "2147483648"])
def test_no_such_listing(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{URL}/{path}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert client.get(f"/listings/{path}").status_code == 404


def test_a_posted_listing_waits_until_it_is_published(app: Flask, client: FlaskClient, listing: dict[str, Any]) -> None:
    listing |= {"title": "Kettle 🫖", "description": "O'Brien's <b>\r\nline"}
    answer = client.post(URL, json=listing)
    assert answer.status_code == 201
    assert answer.json["status"] == "pending"
    number = answer.json["id"]
    assert client.get(f"{URL}/{number}").status_code == 404
    assert client.get(f"/listings/{number}").status_code == 404
    assert items(client, q="Kettle") == []
    with app.app_context():
        db.session.get(Listing, number).status = Status.PUBLISHED.value
        db.session.commit()
    shown = client.get(f"{URL}/{number}").json
    assert shown["description"] == "O'Brien's <b>\nline"
    assert items(client, q="🫖")[0]["id"] == number
    page = client.get(f"/listings/{number}").text
    assert "Kettle 🫖" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


@pytest.mark.parametrize("price", [None, 0, 1_000_000_000])
def test_prices_that_are_taken(client: FlaskClient, listing: dict[str, Any], price: int | None) -> None:
    assert client.post(URL, json=listing | {"price_cents": price}).status_code == 201


def test_every_missing_field_is_named_at_once(client: FlaskClient) -> None:
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
def test_each_bad_field_is_named(client: FlaskClient, listing: dict[str, Any], field: str, value: object) -> None:
    assert set(complaints(client.post(URL, json=listing | {field: value}))) == {f"#/{field}"}


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
def test_a_body_that_is_no_json_object(client: FlaskClient, body: bytes, status: int) -> None:
    answer = client.post(URL, data=body, content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""])
@pytest.mark.parametrize("path", [URL, "/api/v1/messages"])
def test_forms_of_other_sites_are_refused(client: FlaskClient, kind: str, path: str) -> None:
    assert client.post(path, data=b"{}", content_type=kind).status_code == 415


def test_wrong_addresses_and_methods_are_problems(client: FlaskClient) -> None:
    missing = client.get("/api/v1/nothing")
    assert (missing.status_code, missing.mimetype) == (404, "application/problem+json")
    refused = client.delete(URL)
    assert (refused.status_code, refused.mimetype) == (405, "application/problem+json")
    assert "POST" in refused.headers["Allow"]


def test_categories_and_resources(client: FlaskClient) -> None:
    assert {"slug": "jobs", "name": "Jobs"} in client.get("/api/v1/categories").json["items"]
    resources = client.get("/api/v1/resources").json["items"]
    assert len(resources) == 10
    assert all(resource["url"].startswith("https://") for resource in resources)


def test_messages(client: FlaskClient) -> None:
    message = {"name": "A visitor 😀", "email": "visitor@example.org", "body": "Hello\nthere"}
    assert client.post("/api/v1/messages", json=message).status_code == 201
    assert set(complaints(client.post("/api/v1/messages", json={"name": 1}))) == {"#/name", "#/email", "#/body"}
