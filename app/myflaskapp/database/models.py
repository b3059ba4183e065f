"""The tables. Types that both MySQL and SQLite support; times are UTC, in whole seconds, without a zone.

Each limit on a text is defined here: the column, its CHECK constraint and the API's schemas use these numbers, and
a test holds the forms to them.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, String, Text, column, func
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from .engine import db

UTF8 = {"mysql_charset": "utf8mb4"}

SLUG = 40
TITLE = 120
DESCRIPTION = 4000
PLACE = 80
EMAIL = 254
REASON = 500
NAME = 80
BODY = 4000
MODERATOR = 40
DETAIL = 500
CENTS = 100
MOST_CENTS = 10_000_000 * CENTS
# Stored widths of a photo, in pixels, up to its own.
WIDTHS = (320, 640, 1280)
# Represents "no price" in ascending order.
NO_PRICE = 2**31 - 1


class Status(StrEnum):
    """Whether visitors see a listing."""

    PENDING = "pending"
    PUBLISHED = "published"
    REJECTED = "rejected"


def now() -> datetime:
    """Return the current time in UTC, truncated to the second: MySQL would round it, possibly into the future."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


def token() -> str:
    """Return an unguessable name: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def length_check(name: str, most: int) -> CheckConstraint:
    """Return a constraint of 1 to `most` characters, also for SQLite, which ignores lengths."""
    length: ColumnElement[int] = func.char_length(column(name))
    return CheckConstraint(length.between(1, most), name=f"{name}_length")


def widths(width: int) -> list[int]:
    """Return the widths, in pixels, of the versions of a picture of this width."""
    return sorted({known for known in WIDTHS if known < width} | {min(width, WIDTHS[-1])})


@dataclass(frozen=True)
class Size:
    """One version of a photo, in pixels."""

    width: int
    height: int
    url: str


class Category(db.Model):
    """A kind of listing; `slug` is its name in URLs."""

    __tablename__ = "category"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(SLUG), unique=True)
    name: Mapped[str] = mapped_column(String(80))


class Listing(db.Model):
    """Something that a neighbour offers or seeks. `price_cents` is in Canadian cents, NULL when none was named.

    `receipt` is the sender's name for it. `fingerprint` is a digest of the content while it is pending, so
    that the same content is stored once; NULL afterwards. `decided_at` is when a moderator published or refused it.
    """

    __tablename__ = "listing"
    # One index per query of listings: all or of one category, by date or by price; of a place; by words.
    __table_args__ = (
        Index("ix_listing_newest", "status", "published_at", "id"),
        Index("ix_listing_category_newest", "category_id", "status", "published_at", "id"),
        Index("ix_listing_price", "status", "price_cents", "id"),
        Index("ix_listing_category_price", "category_id", "status", "price_cents", "id"),
        Index("ix_listing_price_order", "status", "price_order", "id"),
        Index("ix_listing_category_price_order", "category_id", "status", "price_order", "id"),
        Index("ix_listing_place_newest", "status", "place", "published_at", "id"),
        # The moderators' queue.
        Index("ix_listing_feed", "status", "created_at", "id"),
        Index("ix_listing_text", "title", "description", mysql_prefix="FULLTEXT").ddl_if(dialect="mysql"),
        length_check("title", TITLE),
        length_check("description", DESCRIPTION),
        length_check("place", PLACE),
        length_check("contact_email", EMAIL),
        CheckConstraint(column("price_cents").between(0, MOST_CENTS), name="price_cents_range"),
        CheckConstraint(column("status").in_([status.value for status in Status]), name="status_known"),
        UTF8,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(TITLE))
    description: Mapped[str] = mapped_column(Text)
    category_id: Mapped[int] = mapped_column(ForeignKey("category.id"))
    place: Mapped[str] = mapped_column(String(PLACE))
    price_cents: Mapped[int | None]
    price_order: Mapped[int] = mapped_column(Computed(f"coalesce(price_cents, {NO_PRICE})", persisted=False))
    contact_email: Mapped[str] = mapped_column(String(EMAIL))
    status: Mapped[str] = mapped_column(String(16), default=Status.PENDING.value)
    reason: Mapped[str] = mapped_column(String(REASON), default="", server_default="")
    receipt: Mapped[str | None] = mapped_column(String(32), unique=True, default=token)
    fingerprint: Mapped[str | None] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    published_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]

    category: Mapped[Category] = relationship(lazy="joined", innerjoin=True)
    photos: Mapped[list["Photo"]] = relationship(lazy="selectin", order_by="Photo.position")


class Photo(db.Model):
    """A picture of a listing, or of none until the listing is sent. Sizes in pixels are those of its largest version.

    `name` is its name in URLs, `digest` the SHA-256 of the file that was sent.
    """

    __tablename__ = "photo"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True, default=token)
    listing_id: Mapped[int | None] = mapped_column(ForeignKey("listing.id"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    width: Mapped[int]
    height: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)

    @property
    def sizes(self) -> list["Size"]:
        """Its versions, the smallest first."""
        return [
            Size(width, max(1, round(self.height * width / self.width)), f"/media/{self.name}-{width}.webp")
            for width in widths(self.width)
        ]


class Resource(db.Model):
    """A useful address elsewhere on the web, shown under the heading `section`."""

    __tablename__ = "resource"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(500))
    description: Mapped[str] = mapped_column(String(500))
    section: Mapped[str] = mapped_column(String(80), index=True)


class Message(db.Model):
    """A visitor's message to the operators; `fingerprint` is a digest that prevents duplicates."""

    __tablename__ = "message"
    __table_args__ = (length_check("name", NAME), length_check("email", EMAIL), length_check("body", BODY), UTF8)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME))
    email: Mapped[str] = mapped_column(String(EMAIL))
    body: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Moderator(db.Model):
    """A moderator. `password_hash` is in Werkzeug's format."""

    __tablename__ = "moderator"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(MODERATOR), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))


class Session(db.Model):
    """A moderator's login. The browser has the token; the table only its SHA-256, so that a dump grants no access."""

    __tablename__ = "session"
    __table_args__ = UTF8

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    moderator_id: Mapped[int] = mapped_column(ForeignKey("moderator.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(index=True)

    moderator: Mapped[Moderator] = relationship(lazy="joined", innerjoin=True)


class AuditEntry(db.Model):
    """An action of a moderator, never changed. The name is kept when the moderator is removed."""

    __tablename__ = "audit_entry"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    moderator: Mapped[str] = mapped_column(String(MODERATOR))
    action: Mapped[str] = mapped_column(String(40))
    listing_id: Mapped[int | None] = mapped_column(ForeignKey("listing.id"), index=True)
    detail: Mapped[str] = mapped_column(String(DETAIL), default="")


class RateLimit(db.Model):
    """The number of actions in the current window; `key` is a digest of the client and the action."""

    __tablename__ = "rate_limit"
    __table_args__ = UTF8

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    hits: Mapped[int]
    # Seconds since 1970, as the library counts.
    expires: Mapped[int] = mapped_column(BigInteger, index=True)
