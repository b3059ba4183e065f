"""The app and its MySQL server: an outage under load, lost connections, and the queries with 100,000 listings."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import config
import pytest
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp import create_app
from myflaskapp.database.engine import db
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from support import loads
from werkzeug.test import TestResponse

from lab import aws, operations
from lab.load import Load, plan_for_site
from lab.visitor import Visitor

OUTAGE = 20
RATE = 100
LISTINGS = 100_000
SCHEMA = "outport_explain"


def site_responds(site: Visitor) -> bool:
    """Return whether the list of listings responds with 200."""
    return site.get("/api/v1/listings?limit=1").status == 200


def stored_messages() -> Counter[str]:
    """Return the texts of the messages in the site's database, and the count of each."""
    engine = create_engine(aws.database_url(aws.database_credentials()["dbname"]))
    with engine.connect() as connection:
        texts = Counter(connection.exec_driver_sql("SELECT body FROM message").scalars())
    engine.dispose()
    return texts


def test_an_outage_of_the_database_loses_nothing_and_no_request_fails_after_it() -> None:
    site, rds = operations.visitor(), aws.client("rds")
    database = operations.status().databases[0].id
    with Load(plan_for_site(RATE, longest=240)) as load:
        time.sleep(5)
        began = time.monotonic()
        rds.stop_db_instance(DBInstanceIdentifier=database)
        while site_responds(site):
            assert time.monotonic() - began < 30
        response = site.get("/api/v1/listings")
        assert int(response.headers["retry-after"]) > 0
        assert site.get("/index.html").status == 200
        assert site.get("/healthz").status == 200
        assert (site.get("/readyz").status, site.get("/readyz").json()) == (503, {"status": "unavailable"})
        time.sleep(OUTAGE)
        rds.start_db_instance(DBInstanceIdentifier=database)
        while not site_responds(site):
            assert time.monotonic() - began < 120
        time.sleep(15)
    result = load.result
    loads.record("database outage", result)
    assert set(result.by_status) <= {"200", "201", "503"}, result.by_status
    failed = [visit for visit in result.visits if visit.outcome == "503"]
    assert {visit.kind for visit in failed}.isdisjoint({"page"})
    last = max(visit.at for visit in failed)
    written = [visit for visit in result.visits if visit.kind == "message" and visit.outcome == "201"]
    first_write = min(visit.at for visit in written if visit.at > last)
    print(
        f"{result.by_status}; outage from {failed[0].at:.1f} s to {last:.1f} s; first successful write at {first_write:.1f} s"
    )
    # After the first response, no request fails: the pool has no dead connection.
    recovered = min(
        visit.at
        for visit in result.visits
        if visit.at > failed[0].at + OUTAGE and visit.kind == "api" and visit.outcome == "200"
    )
    assert last < recovered + 2, (last, recovered)
    sent = [
        (load.plan.message(number), visit.outcome)
        for number, visit in enumerate(result.visits)
        if visit.kind == "message"
    ]
    stored = stored_messages()
    assert {message["body"] for message, outcome in sent if outcome != "503"} <= set(stored)
    refused = [message for message, outcome in sent if outcome == "503"]
    # When a connection is lost during a commit, its outcome is unknown.
    print(
        f"of {len(refused)} messages with a 503 response, {sum(stored[message['body']] for message in refused)} were stored"
    )
    for message in refused:
        response = site.request(
            "POST", "/api/v1/messages", json.dumps(message).encode(), {"Content-Type": "application/json"}
        )
        assert response.status == 201
    stored = stored_messages()
    assert {stored[message["body"]] for message, _ in sent} == {1}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app on a separate schema with 100,000 listings, created by its seed command."""
    url = aws.database_url(SCHEMA)
    engine = create_engine(make_url(url).set(database=""))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {SCHEMA}")
        connection.exec_driver_sql(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
    media = str(tmp_path_factory.mktemp("media"))
    app = create_app(config.load({"DATABASE_URL": url, "MEDIA_FOLDER": media, "WRITES_PER_MINUTE": "1000"}))
    for arguments in (["db", "upgrade"], ["seed"], ["seed", "--listings", str(LISTINGS)]):
        result = app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == 0, result.output
    yield app
    with app.app_context():
        db.engine.dispose()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {SCHEMA}")
    engine.dispose()


MESSAGE = {"name": "Visitor", "email": "visitor@example.com", "body": "Is the dory still for sale?"}
SUBMISSION = {
    "title": "Dory",
    "description": "Sixteen feet, dry in any weather.",
    "category": "for-sale",
    "place": "Nain",
    "contact_email": "visitor@example.com",
}


def is_expected(name: str, response: TestResponse) -> bool:
    """Return whether a response is the expected one."""
    return response.status_code in ((403,) if name == "a guess" else (200, 201))


def guess(client: FlaskClient, number: int) -> TestResponse:
    """Try to log in with a wrong password, from a unique address; the failure is counted after the response is complete."""
    found = re.search('name="csrf_token" value="([^"]+)"', client.get("/moderation/login").text)
    assert found
    form = {"csrf_token": found[1], "name": "keeper", "password": "a guess"}
    return client.post("/moderation/login", data=form, environ_overrides={"REMOTE_ADDR": f"192.0.2.{number}"})


# The content of a request depends on its number.
REQUESTS: dict[str, Callable[[FlaskClient, int], TestResponse]] = {
    "a list": lambda client, _: client.get("/api/v1/listings"),
    "a listing's page": lambda client, _: client.get("/listings/777"),
    "a message": lambda client, number: client.post("/api/v1/messages", json=MESSAGE | {"name": f"Visitor {number}"}),
    "a submission": lambda client, number: client.post(
        "/api/v1/submissions", json=SUBMISSION | {"title": f"Dory {number}"}
    ),
    "a guess": guess,
}


@dataclass
class Killer:
    """Kills the app's connection in MySQL, once, after `after` statements or commits of a request."""

    server: Engine
    after: int
    seen: int = 0

    def count(self, connection: Connection, *_: Any) -> None:
        """Count a statement or a commit."""
        self.seen += 1
        if self.seen == self.after:
            self._kill(connection)

    def commit(self, connection: Connection) -> None:
        """Commit in MySQL, and close the connection before the app gets the result."""
        connection.connection.dbapi_connection.commit()
        self.count(connection)

    def _kill(self, connection: Connection) -> None:
        thread = connection.connection.dbapi_connection.thread_id()
        with self.server.connect() as administrator:
            administrator.exec_driver_sql(f"KILL {thread}")
            alive = f"SELECT COUNT(*) FROM performance_schema.processlist WHERE id = {thread}"
            while administrator.exec_driver_sql(alive).scalar():
                time.sleep(0.01)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_connection_that_is_lost_at_any_statement_loses_no_message(
    large: Flask, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, server, outcomes = large.test_client(), create_engine(aws.database_url("")), []
    with large.app_context():
        engine = db.engine
    for after in range(1, 20):
        killer = Killer(server, after)
        event.listen(engine, "after_cursor_execute", killer.count)
        response = REQUESTS[name](client, after)
        event.remove(engine, "after_cursor_execute", killer.count)
        outcomes.append(response.status_code)
        assert is_expected(name, response) or response.status_code == 503, (after, outcomes)
        assert "retry-after" in response.headers or response.status_code != 503
        # The pool would lose a leaked connection permanently.
        assert engine.pool.checkedout() == 0, (after, outcomes)
        assert is_expected(name, REQUESTS[name](client, after))
        if killer.seen < after:
            break
    server.dispose()
    print(f"{name}: {outcomes}")
    assert "bug" not in caplog.messages
    assert len(outcomes) > 1, "no statement was sent to the database"


@pytest.mark.parametrize(("name", "table"), [("a message", "message"), ("a submission", "listing")])
def test_a_commit_without_a_response_is_not_stored_twice(large: Flask, name: str, table: str) -> None:
    client, server = large.test_client(), create_engine(aws.database_url(SCHEMA))

    def count() -> int:
        with server.connect() as connection:
            return connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar() or 0

    with large.app_context():
        engine = db.engine
    # Creates the row of the rate limit; its update is the first commit of the next request.
    REQUESTS[name](client, 20)
    before, killer = count(), Killer(server, after=2)
    event.listen(engine, "commit", killer.commit)
    response = REQUESTS[name](client, 0)
    event.remove(engine, "commit", killer.commit)
    assert response.status_code == 503
    assert count() == before + 1
    assert is_expected(name, REQUESTS[name](client, 0))
    assert count() == before + 1
    server.dispose()


@dataclass(frozen=True)
class Plan:
    """MySQL's plan of a request's main query, and the request's response time (median of ten, ms)."""

    key: str
    type: str
    rows: int
    extra: str
    ms: float


def explain(app: Flask, path: str) -> Plan:
    """Send a request ten times and read MySQL's plan of its query of the listings."""
    seen: list[tuple[str, Any]] = []

    def record(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM listing" in statement:
            seen.append((statement, parameters))

    client, times = app.test_client(), []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", record)
        for _ in range(10):
            began = time.perf_counter()
            assert client.get(path).status_code == 200
            times.append((time.perf_counter() - began) * 1000)
        event.remove(db.engine, "before_cursor_execute", record)
        with db.engine.connect() as connection:
            rows = connection.exec_driver_sql("EXPLAIN FORMAT=TRADITIONAL " + seen[0][0], seen[0][1]).mappings().all()
    row = next(row for row in rows if row["table"] == "listing")
    return Plan(row["key"], row["type"], row["rows"], row["Extra"] or "", median(times))


# The index of each request, and whether the index provides its order.
QUERIES = {
    "/api/v1/listings": ("ix_listing_newest", True),
    "/api/v1/listings?category=jobs": ("ix_listing_category_newest", True),
    "/api/v1/listings?sort=cheapest": ("ix_listing_price_order", True),
    "/api/v1/listings?sort=dearest": ("ix_listing_price", True),
    "/api/v1/listings?sort=cheapest&category=jobs": ("ix_listing_category_price_order", True),
    "/api/v1/listings?sort=dearest&category=jobs": ("ix_listing_category_price", True),
    "/api/v1/listings?sort=cheapest&min_price=10000&max_price=20000": (None, False),
    # The newest of a common place are found quickly; a rare one needs its own index.
    "/api/v1/listings?place=Twillingate": (None, False),
    "/api/v1/listings?place=Nain": ("ix_listing_place_newest", False),
    "/api/v1/listings?q=saltbox+kitchen": ("ix_listing_text", False),
    "/api/v1/listings?q=accordion&category=community": ("ix_listing_text", False),
    # Any index.
    "/api/v1/categories": (None, True),
    "/api/v1/places": ("ix_listing_place_newest", False),
    "/api/v1/listings/777": ("PRIMARY", True),
    "/listings/777": ("PRIMARY", True),
}


def test_every_query_has_its_index_at_a_hundred_thousand_listings(large: Flask) -> None:
    plans = {path: explain(large, path) for path in QUERIES}
    following = large.test_client().get("/api/v1/listings?limit=100").json["next_cursor"]
    plans["the second page"] = explain(large, f"/api/v1/listings?cursor={following}")
    for path, plan in plans.items():
        print(f"{path:64} {plan.type:9} {plan.key or '-':32} {plan.rows:6} rows {plan.ms:7.1f} ms  {plan.extra}")
    assert {path: plan.type for path, plan in plans.items() if plan.type == "ALL"} == {}
    for path, (key, ordered) in QUERIES.items():
        assert plans[path].key == key or key is None, (path, plans[path])
        assert not (ordered and "filesort" in plans[path].extra), (path, plans[path])
    assert plans["the second page"].key == "ix_listing_newest"
