"""The queries for published listings, which the indexes are designed for."""

import re
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.dialects import mysql

from ..database.engine import db
from ..database.models import Category, Listing, Status
from .paging import Cursor

_WORDS = 8
_LONGEST_WORD = 80
# Scripts without spaces between words, which the index can't tokenize.
_UNCUT = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# MySQL's full-text index contains words of three letters or more, except these.
_SHORTEST_WORD = 3
_STOP_WORD = re.compile("about|are|com|for|from|how|that|the|this|was|what|when|where|who|will|with|und|www")


class Sort(StrEnum):
    """The orders of a list; `cheapest` and `dearest` have those without a price at the end."""

    NEWEST = "newest"
    CHEAPEST = "cheapest"
    DEAREST = "dearest"


def find_published(
    *,
    q: str = "",
    category: str = "",
    place: str = "",
    min_price: int | None = None,
    max_price: int | None = None,
    sort: Sort = Sort.NEWEST,
    after: Cursor | None = None,
    limit: int,
) -> tuple[list[Listing], Cursor | None]:
    """Return a page of published listings and where the next page starts (None when there is none).

    `q` keeps listings whose title or description has each of its words, `category` is a slug, `place` the start of a
    place, prices are in cents.
    """
    query = select(Listing).where(Listing.status == Status.PUBLISHED.value, *_has_words(q))
    if category:
        # The category's id first, so that the index that starts with it also provides the order.
        number = db.session.scalar(select(Category.id).where(Category.slug == category))
        query = query.where(Listing.category_id == number)
    if place:
        query = query.where(Listing.place.startswith(place, autoescape=True))
    if min_price is not None:
        query = query.where(Listing.price_cents >= min_price)
    if max_price is not None:
        query = query.where(Listing.price_cents <= max_price)
    found = list(db.session.scalars(_in_order(query, sort, after).limit(limit + 1)))
    page = found[:limit]
    return page, _cursor(page[-1], sort) if len(found) > limit else None


def get_published(listing_id: int) -> Listing | None:
    """Return the published listing with this id, None if there is none."""
    return db.session.scalar(select(Listing).where(Listing.id == listing_id, Listing.status == Status.PUBLISHED.value))


def count_by_category() -> list[tuple[str, str, int]]:
    """Return slug, name and number of published listings of each category, by name."""
    shown = and_(Listing.category_id == Category.id, Listing.status == Status.PUBLISHED.value)
    count = select(func.count()).select_from(Listing).where(shown).scalar_subquery()
    return [
        tuple(row) for row in db.session.execute(select(Category.slug, Category.name, count).order_by(Category.name))
    ]


def count_by_place(most: int) -> list[tuple[str, int]]:
    """Return name and number of published listings of the `most` most frequent places, by name."""
    query = select(Listing.place, func.count()).where(Listing.status == Status.PUBLISHED.value)
    query = query.group_by(Listing.place).order_by(func.count().desc(), Listing.place).limit(most)
    return sorted((place, count) for place, count in db.session.execute(query))


def _has_words(q: str) -> list[ColumnElement[bool]]:
    """Return the conditions for each word of `q`; MySQL's index finds words by their prefix."""
    words = q.split()[:_WORDS]
    if db.engine.dialect.name != "mysql":
        return [_contains(word) for word in words]
    indexed = {part.lower() for word in words for part in re.findall(r"\w+", word) if _is_indexed(part)}
    conditions = [_contains(word) for word in words if word.lower() not in indexed]
    if indexed:
        # Letters, digits and underscores only, so that it contains no operator.
        text = " ".join(f"+{word}*" for word in sorted(indexed))
        conditions.append(mysql.match(Listing.title, Listing.description, against=text).in_boolean_mode())
    return conditions


def _is_indexed(word: str) -> bool:
    return (
        _SHORTEST_WORD <= len(word) <= _LONGEST_WORD
        and not _STOP_WORD.fullmatch(word.lower())
        and not _UNCUT.search(word)
    )


def _contains(word: str) -> ColumnElement[bool]:
    return or_(Listing.title.contains(word, autoescape=True), Listing.description.contains(word, autoescape=True))


def _in_order(query: Select[tuple[Listing]], sort: Sort, after: Cursor | None) -> Select[tuple[Listing]]:
    """Return `query` in its order, from the listing after the cursor on."""
    if sort is Sort.CHEAPEST:
        if after:
            same_or_more = Listing.price_order >= after.value
            query = query.where(same_or_more, or_(Listing.price_order > after.value, Listing.id > after.id))
        return query.order_by(Listing.price_order, Listing.id)
    column = Listing.published_at if sort is Sort.NEWEST else Listing.price_cents
    if after and after.value is None:
        query = query.where(column.is_(None), Listing.id < after.id)
    elif after:
        follows = and_(column <= after.value, or_(column < after.value, Listing.id < after.id))
        query = query.where(or_(follows, column.is_(None)) if sort is Sort.DEAREST else follows)
    return query.order_by(column.desc(), Listing.id.desc())


def _cursor(listing: Listing, sort: Sort) -> Cursor:
    values = {Sort.NEWEST: listing.published_at, Sort.CHEAPEST: listing.price_order, Sort.DEAREST: listing.price_cents}
    return Cursor(values[sort], listing.id)
