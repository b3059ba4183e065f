"""Routes beside the API: health, the page of a listing, and the client's files when no web server serves them."""

import logging
from pathlib import Path

from flask import Blueprint, Response, current_app, g, jsonify, redirect, render_template, send_from_directory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from . import listings
from .credentials import CredentialsError
from .database import db, describe
from .fields import parse_id

CLIENT_FOLDER = Path(__file__).resolve().parent.parent / "client"
CENTS = 100

blueprint = Blueprint("routes", __name__)
log = logging.getLogger(__name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that the process answers; asks nothing of anything else."""
    return _health("ok", 200)


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether the database answers."""
    try:
        with db.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, CredentialsError) as error:
        log.warning("not ready", extra={"fields": {"request_id": g.request_id, **describe(error)}})
        return _health("unavailable", 503)
    return _health("ok", 200)


def _health(status: str, code: int) -> Response:
    response = jsonify(status=status)
    response.status_code = code
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/listings/<listing_id>")
def show_listing(listing_id: str) -> str:
    """Return the page of one listing."""
    listing = listings.get_published(parse_id(listing_id))
    if listing is None:
        raise NotFound
    return render_template("listing.html", listing=listing)


@blueprint.app_template_filter("dollars")
def dollars(cents: int | None) -> str:
    """Write an amount of cents for people: `$1,250`, `$4.50`, "Free", or nothing when there is no price."""
    if cents is None:
        return ""
    if cents == 0:
        return "Free"
    return f"${cents // CENTS:,}" + (f".{cents % CENTS:02}" if cents % CENTS else "")


@blueprint.get("/listings")
def listings_page() -> AnyResponse:
    """Lead those who shorten a listing's address to all listings."""
    return redirect("/listings.html")


@blueprint.get("/favicon.ico")
def favicon() -> Response:
    """Serve the icon that browsers ask for by themselves."""
    return current_app.send_static_file("favicon.ico")


@blueprint.get("/")
def home() -> Response:
    """Serve the home page."""
    return client_file("index.html")


@blueprint.get("/<name>")
def client_file(name: str) -> Response:
    """Serve the client. A web server in front does this itself and asks the app only for what it does not have."""
    return send_from_directory(CLIENT_FOLDER, name)
