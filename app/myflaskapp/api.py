"""The API under /api/v1: JSON in, JSON out, errors as problem details."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import select
from werkzeug.exceptions import NotFound

from . import listings, paging
from .database import db
from .fields import Fields, parse_id, read_json_object
from .models import Category, Listing, Message, Resource, Status

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

PAGE = 20
LONGEST_PAGE = 100
MOST_CENTS = 1_000_000_000


@blueprint.after_request
def set_caching(response: Response) -> Response:
    """Let caches keep nothing that they have not asked about again."""
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


@blueprint.get("/listings")
def list_listings() -> Response:
    """Answer `{"items": [listing, …], "next_cursor": text or null}`."""
    query = Fields(request.args, "parameter")
    q = query.text("q", 100, required=False)
    category = query.text("category", 40, required=False)
    place = query.text("place", 80, required=False)
    limit = query.count("limit", PAGE, LONGEST_PAGE)
    cursor = query.text("cursor", 64, required=False)
    after = paging.decode(cursor) if cursor else None
    if cursor and after is None:
        query.refuse("cursor", "must be a next_cursor of an earlier answer")
    query.finish()
    page, following = listings.find_published(q=q, category=category, place=place, after=after, limit=limit)
    items = [listings.as_json(listing) for listing in page]
    return jsonify(items=items, next_cursor=paging.encode(following) if following else None)


@blueprint.get("/listings/<listing_id>")
def get_listing(listing_id: str) -> Response:
    """Answer one listing, with the address to write to."""
    listing = listings.get_published(parse_id(listing_id))
    if listing is None:
        raise NotFound("There is no such listing.")
    return jsonify(listings.as_json(listing) | {"contact_email": listing.contact_email})


@blueprint.post("/listings")
def add_listing() -> tuple[Response, int]:
    """Keep a listing until somebody looks it over; answer its id and status."""
    body = Fields(read_json_object(), "pointer")
    values: dict[str, Any] = {
        "title": body.text("title", 120),
        "description": body.text("description", 4000, lines=True),
        "place": body.text("place", 80),
        "price_cents": body.whole_number("price_cents", 0, MOST_CENTS),
        "contact_email": body.email("contact_email"),
    }
    slug = body.text("category", 40)
    category = db.session.scalar(select(Category).where(Category.slug == slug)) if slug else None
    if slug and category is None:
        body.refuse("category", "must be the slug of a category")
    body.finish()
    listing = Listing(**values, category=category, status=Status.PENDING.value)
    db.session.add(listing)
    db.session.commit()
    return jsonify(id=listing.id, status=listing.status), 201


@blueprint.get("/categories")
def list_categories() -> Response:
    """Answer `{"items": [{"slug", "name"}, …]}` by name."""
    found = db.session.scalars(select(Category).order_by(Category.name))
    return jsonify(items=[{"slug": category.slug, "name": category.name} for category in found])


@blueprint.get("/resources")
def list_resources() -> Response:
    """Answer `{"items": [{"title", "url", "description", "section"}, …]}` by section and title."""
    found = db.session.scalars(select(Resource).order_by(Resource.section, Resource.title))
    names = ("title", "url", "description", "section")
    return jsonify(items=[{name: getattr(resource, name) for name in names} for resource in found])


@blueprint.post("/messages")
def add_message() -> tuple[Response, int]:
    """Keep a message to the people who run the site."""
    body = Fields(read_json_object(), "pointer")
    message = Message(name=body.text("name", 80), email=body.email("email"), body=body.text("body", 4000, lines=True))
    body.finish()
    db.session.add(message)
    db.session.commit()
    return jsonify(status="received"), 201
