"""The state of a listing under moderation: what moderators may change, and the audit trail.

Every function changes rows without a commit: the caller commits the change and its audit entry together.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import update

from ..database.engine import db
from ..database.models import DETAIL, AuditEntry, Listing, Photo, Status, now
from . import moderators

_CONTENT = ("title", "description", "place", "price_cents", "contact_email")


def record(action: str, listing: Listing | None = None, detail: str = "", moderator: str | None = None) -> None:
    """Add an entry to the audit trail, by `moderator` or by whoever is logged in."""
    name = moderator or moderators.current_name()
    number = listing.id if listing else None
    db.session.add(AuditEntry(moderator=name, action=action, listing_id=number, detail=detail[:DETAIL]))


def lock(listing_id: int) -> None:
    """Begin a transaction that locks the listing and sees all committed changes."""
    db.session.rollback()
    # A write without a change: SQLite has no SELECT … FOR UPDATE, and MySQL reads from the snapshot of the first read.
    db.session.execute(update(Listing).where(Listing.id == listing_id).values(status=Listing.status))


def digest(listing: Listing) -> str:
    """Return a digest of everything that a moderator sees and may change."""
    seen = [getattr(listing, name) for name in ("status", "reason", "category_id", *_CONTENT)]
    return hashlib.sha256(json.dumps([*seen, [photo.name for photo in listing.photos]]).encode()).hexdigest()


def edit(listing: Listing, content: dict[str, Any]) -> None:
    """Set the fields that differ; the audit entry names them."""
    changed = [name for name, value in content.items() if getattr(listing, name) != value]
    for name in changed:
        setattr(listing, name, content[name])
    if changed:
        record("edited", listing, ", ".join(changed))


def remove_photos(listing: Listing, names: Iterable[str]) -> None:
    """Detach photos from the listing; `flask clean` removes their files later."""
    chosen = set(names)
    photos: list[Photo] = [photo for photo in listing.photos if photo.name in chosen]
    for photo in photos:
        photo.listing_id = None
        record("removed a photo", listing)


def publish(listing: Listing) -> None:
    """Put the listing on the board; one that is there already stays unchanged."""
    if listing.status == Status.PUBLISHED.value:
        return
    listing.status, listing.reason, listing.fingerprint = Status.PUBLISHED.value, "", None
    listing.decided_at = now()
    # Only once: a listing that is published again keeps its date.
    listing.published_at = listing.published_at or listing.decided_at
    record("published", listing)


def reject(listing: Listing, reason: str) -> None:
    """Refuse a pending listing, or take a published one down."""
    action = "took down" if listing.status == Status.PUBLISHED.value else "refused"
    listing.status, listing.reason, listing.fingerprint = Status.REJECTED.value, reason, None
    listing.decided_at = now()
    record(action, listing, reason)
