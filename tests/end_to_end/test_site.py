"""The site, from outside."""

import ssl
import time
from typing import Any

import pytest
from sqlalchemy import create_engine

from lab import aws
from lab.visitor import Visitor


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/listings.html", "/contact.html", "/resources.html", "/submit.html"]
)
def test_pages_are_served_over_verified_https(site: Visitor, path: str) -> None:
    response = site.get(path)
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/html")
    assert b"<title>" in response.body


@pytest.mark.parametrize("path", ["/styles.css", "/scripts.js", "/scripts/listings.js", "/newfoundland_cover.jpg"])
def test_static_files_are_served(site: Visitor, path: str) -> None:
    assert site.get(path).status == 200


def test_the_certificate_is_valid_for_the_domain_and_thirty_days(site: Visitor) -> None:
    certificate = site.certificate()
    assert ("DNS", site.domain) in certificate["subjectAltName"]
    assert ssl.cert_time_to_seconds(certificate["notAfter"]) > time.time() + 30 * 86400


def test_listings_come_from_mysql(site: Visitor, secret: dict[str, Any]) -> None:
    """A row inserted with SQL appears on the site."""
    title = f"Dory with oars {time.time_ns()}"
    engine = create_engine(aws.database_url(secret["dbname"]))
    with engine.begin() as database:
        category = database.exec_driver_sql("SELECT id FROM category ORDER BY id LIMIT 1").scalar_one()
        database.exec_driver_sql(
            "INSERT INTO listing (title, description, category_id, place, contact_email, status, created_at, published_at)"
            " VALUES (%s, 'Flat bottom, sound.', %s, 'Fogo', 'seller@lab.test', 'published', UTC_TIMESTAMP(), UTC_TIMESTAMP())",
            (title, category),
        )
    try:
        listed = site.get("/api/v1/listings?limit=5").json()["items"]
        assert title in [entry["title"] for entry in listed]
        page = site.get(f"/listings/{next(entry['id'] for entry in listed if entry['title'] == title)}")
        assert page.status == 200
        assert title.encode() in page.body
    finally:
        with engine.begin() as database:
            database.exec_driver_sql("DELETE FROM listing WHERE title = %s", (title,))
        engine.dispose()


def test_the_health_and_readiness_endpoints_respond(site: Visitor) -> None:
    assert site.get("/healthz").status == 200
    assert site.get("/readyz").status == 200


def test_an_unknown_page_is_the_apps_own_404(site: Visitor) -> None:
    response = site.get("/nothing-here")
    assert response.status == 404
    assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


def test_static_pages_have_the_policy_of_the_settings(site: Visitor) -> None:
    assert site.get("/listings.html").headers["content-security-policy"].startswith("default-src 'self';")


def test_a_request_can_be_traced_to_the_log(site: Visitor, web: Any) -> None:
    request_id = site.get("/api/v1/categories").headers["x-request-id"]
    assert request_id in web.check_output(
        "journalctl --no-pager --output=cat --since=-1min _SYSTEMD_UNIT=%s", unit(web)
    )
    assert request_id in web.file("/var/log/nginx/access.log").content_string


def unit(web: Any) -> str:
    """The unit of the live release."""
    return f"listings@{web.check_output('basename $(readlink /srv/listings/live)')}.service"
