"""Submissions: listings and messages. A duplicate of a pending one is stored only once."""

import hashlib
import json
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from ..database.engine import db, retry_deadlocks
from ..database.models import Category, Listing, Message, Photo, Status, now
from ..media.photos import NAMED_WITHIN


class BadSubmissionError(Exception):
    """The submission refers to something that does not exist: `field` is where, the message what."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class NoSuchPhotoError(BadSubmissionError):
    """A photo does not exist, or belongs to another listing."""


def find_category(slug: str) -> Category:
    """Return the category.

    Raises:
        BadSubmissionError: There is no category with this slug.
    """
    category = db.session.scalar(select(Category).where(Category.slug == slug))
    if category is None:
        raise BadSubmissionError("category", "must be the slug of a category")
    return category


@retry_deadlocks
def submit(content: dict[str, Any]) -> tuple[Listing, bool]:
    """Store a listing for review, and return it and whether it is new.

    A duplicate of a pending listing is stored only once. `content` is a loaded SubmissionSchema.

    Raises:
        BadSubmissionError: The category or a photo does not exist.
    """
    category = find_category(content["category"])
    photos = _find_photos(content["photos"])
    # A digest of the visible content, so of the photos' content and not of their ids.
    fingerprint = _fingerprint(content | {"photos": [photo.digest for photo in photos]})
    if waiting := _find_waiting(fingerprint):
        return waiting, False
    if any(photo.listing_id is not None for photo in photos):
        raise NoSuchPhotoError("photos", "must be photos that belong to no other listing")
    values = {name: value for name, value in content.items() if name not in ("category", "photos")}
    listing = Listing(**values, category=category, status=Status.PENDING.value, fingerprint=fingerprint)
    db.session.add(listing)
    try:
        db.session.flush()
        for position, photo in enumerate(photos):
            # It may belong to another listing by now.
            free = (Photo.id == photo.id, Photo.listing_id.is_(None))
            taken = db.session.execute(update(Photo).where(*free).values(listing_id=listing.id, position=position))
            if not taken.rowcount:
                raise NoSuchPhotoError("photos", "must be photos that belong to no other listing")
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        # A duplicate was sent at the same time and stored first.
        waiting = _find_waiting(fingerprint)
        if waiting is None:
            raise
        return waiting, False
    except BadSubmissionError:
        db.session.rollback()
        raise
    return listing, True


def find_by_receipt(receipt: str) -> Listing | None:
    """Return the listing with this receipt."""
    return db.session.scalar(select(Listing).where(Listing.receipt == receipt))


@retry_deadlocks
def keep_message(content: dict[str, Any]) -> None:
    """Store a message, unless a duplicate is stored already. `content` is a loaded MessageSchema."""
    fingerprint = _fingerprint(content)
    known = select(Message.id).where(Message.fingerprint == fingerprint)
    if db.session.scalar(known):
        return
    db.session.add(Message(**content, fingerprint=fingerprint))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        # A duplicate was sent at the same time and stored first.
        if not db.session.scalar(known):
            raise


def _find_waiting(fingerprint: str) -> Listing | None:
    return db.session.scalar(select(Listing).where(Listing.fingerprint == fingerprint))


def _find_photos(names: list[str]) -> list[Photo]:
    usable = or_(Photo.listing_id.is_not(None), Photo.created_at >= now() - NAMED_WITHIN)
    found = {photo.name: photo for photo in db.session.scalars(select(Photo).where(Photo.name.in_(names), usable))}
    for position, name in enumerate(names):
        if name not in found:
            raise NoSuchPhotoError(f"photos/{position}", "must be the id of a photo that was sent within the last day")
    return [found[name] for name in names]


def _fingerprint(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
