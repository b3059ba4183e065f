"""Questions about listings, asked of the database, and listings as JSON."""

from typing import Any

from sqlalchemy import and_, or_, select

from .database import db
from .models import Category, Listing, Status
from .paging import Cursor

_WORDS = 8


def find_published(
    *, q: str = "", category: str = "", place: str = "", after: Cursor | None = None, limit: int
) -> tuple[list[Listing], Cursor | None]:
    """Return a page of published listings, newest first, and where the next page starts (None when there is none).

    `q` keeps listings whose title or description has each of its words, `category` is a slug, `place` the start of a
    place.
    """
    query = select(Listing).where(Listing.status == Status.PUBLISHED.value)
    for word in q.split()[:_WORDS]:
        query = query.where(
            or_(Listing.title.contains(word, autoescape=True), Listing.description.contains(word, autoescape=True))
        )
    if category:
        query = query.where(Listing.category.has(Category.slug == category))
    if place:
        query = query.where(Listing.place.startswith(place, autoescape=True))
    if after:
        older = and_(Listing.created_at == after.created_at, Listing.id < after.id)
        query = query.where(or_(Listing.created_at < after.created_at, older))
    query = query.order_by(Listing.created_at.desc(), Listing.id.desc()).limit(limit + 1)
    found = list(db.session.scalars(query))
    page = found[:limit]
    return page, Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None


def get_published(listing_id: int | None) -> Listing | None:
    """Return the listing with this id, None when there is none that visitors may see."""
    if listing_id is None:
        return None
    query = select(Listing).where(Listing.id == listing_id, Listing.status == Status.PUBLISHED.value)
    return db.session.scalar(query)


def as_json(listing: Listing) -> dict[str, Any]:
    """Return what a list shows of a listing; its e-mail address is left out, away from harvesters."""
    return {
        "id": listing.id,
        "title": listing.title,
        "description": listing.description,
        "category": {"slug": listing.category.slug, "name": listing.category.name},
        "place": listing.place,
        "price_cents": listing.price_cents,
        "created_at": listing.created_at.isoformat() + "Z",
    }
