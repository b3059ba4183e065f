"""The API of listings."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp.database.engine import db
from myflaskapp.database.models import Listing
from sqlalchemy import select

URL = "/api/v1/listings"
SUBMISSIONS = "/api/v1/submissions"


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
    times = [item["published_at"] for item in items(client)]
    assert len(times) == 16
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("limit", [1, 3, 5, 16])
def test_pages_show_each_listing_once_even_when_times_are_equal(app: Flask, client: FlaskClient, limit: int) -> None:
    with app.app_context():
        moment = db.session.scalar(select(Listing.published_at))
        for row in db.session.scalars(select(Listing).limit(8)):
            row.published_at = moment
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
        ("q", "a\0b"),
        ("q", "x" * 101),
        ("place", "x" * 81),
    ],
)
def test_an_invalid_query_is_reported(client: FlaskClient, name: str, value: str) -> None:
    assert name in complaints(client.get(URL, query_string={name: value}))


@pytest.mark.parametrize("cursor", ["x", "!!", "AAAA", "é", "MTIz", "OTk5OTk5OTk5OTk5LjE", "MS45OTk5OTk5OTk5"])
def test_an_invalid_cursor_is_rejected(client: FlaskClient, cursor: str) -> None:
    answer = client.get(URL, query_string={"cursor": cursor})
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert "next_cursor" in answer.json["detail"]


def test_one_listing_has_its_e_mail_address_and_the_list_has_not(client: FlaskClient) -> None:
    first = items(client)[0]
    one = client.get(f"{URL}/{first['id']}").json
    assert one == first | {"contact_email": "saltbox@example.org"}


@pytest.mark.parametrize("path", ["0", "-1", "999", "x", "%00", "1.0", "9" * 30, "9" * 5000, "٣", "2147483648"])
def test_no_such_listing(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{URL}/{path}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert client.get(f"/listings/{path}").status_code == 404


def test_wrong_urls_and_methods_are_problems(client: FlaskClient) -> None:
    missing = client.get("/api/v1/nothing")
    assert (missing.status_code, missing.mimetype) == (404, "application/problem+json")
    refused = client.delete(URL)
    assert (refused.status_code, refused.mimetype) == (405, "application/problem+json")
    assert "GET" in refused.headers["Allow"]


def test_categories_places_and_resources(client: FlaskClient) -> None:
    assert {"slug": "jobs", "name": "Jobs", "count": 2} in client.get("/api/v1/categories").json["items"]
    places = {place["name"]: place["count"] for place in client.get("/api/v1/places").json["items"]}
    assert places["St. John's"] == len(items(client, place="St. John's"))
    assert sum(places.values()) == 16
    resources = client.get("/api/v1/resources").json["items"]
    assert len(resources) == 10
    assert all(resource["url"].startswith("https://") for resource in resources)


def prices(listings: list[dict[str, Any]]) -> list[int | None]:
    return [item["price_cents"] for item in listings]


def test_by_price_those_without_one_come_last(client: FlaskClient) -> None:
    named = sorted(price for price in prices(items(client)) if price is not None)
    unnamed = [None] * (16 - len(named))
    assert unnamed
    assert prices(items(client, sort="cheapest")) == named + unnamed
    assert prices(items(client, sort="dearest")) == named[::-1] + unnamed


def test_a_range_of_prices_is_inclusive(client: FlaskClient) -> None:
    found = prices(items(client, min_price=4500, max_price=89500))
    assert {4500, 89500} <= set(found)
    assert all(price is not None and 4500 <= price <= 89500 for price in found)
    assert items(client, min_price=2, max_price=1) == []


@pytest.mark.parametrize("sort", ["newest", "cheapest", "dearest"])
@pytest.mark.parametrize("limit", [1, 5])
def test_every_order_can_be_paged_through(client: FlaskClient, sort: str, limit: int) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(URL, query_string={"limit": limit, "sort": sort, "cursor": cursor}).json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [item["id"] for item in items(client, sort=sort)]


def test_a_cursor_belongs_to_its_order(client: FlaskClient) -> None:
    cursor = client.get(URL, query_string={"limit": 1, "sort": "cheapest"}).json["next_cursor"]
    assert client.get(URL, query_string={"sort": "dearest", "cursor": cursor}).status_code == 404


@pytest.mark.parametrize("path", [URL, f"{URL}/16", "/api/v1/categories", "/api/v1/openapi.json", "/listings/16"])
def test_an_unchanged_response_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    assert first.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_the_description_names_every_route_of_the_api(app: Flask, client: FlaskClient) -> None:
    described = client.get("/api/v1/openapi.json").json
    assert described["openapi"].startswith("3.1")
    routes = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")}
    shown = {re.sub("<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", route) for route in routes} - {"/api/v1/openapi.json"}
    assert set(described["paths"]) == shown
    assert "jobs" in described["components"]["schemas"]["Submission"]["properties"]["category"]["enum"]
