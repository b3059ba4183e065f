"""The tables. Only types that MySQL and SQLite both know; times are UTC, in whole seconds, without a zone."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .database import db

UTF8 = {"mysql_charset": "utf8mb4"}


class Status(StrEnum):
    """Whether visitors see a listing."""

    PENDING = "pending"
    PUBLISHED = "published"


def now() -> datetime:
    """Return the present moment in UTC, cut to the second: MySQL would round it, perhaps into the future."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


class Category(db.Model):
    """A kind of listing; `slug` is its name in addresses."""

    __tablename__ = "category"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))


class Listing(db.Model):
    """Something that a neighbour offers or seeks. `price_cents` is in Canadian cents, NULL when none was named."""

    __tablename__ = "listing"
    # Each index serves one way to ask for the newest published listings: all, of a category, of a place.
    __table_args__ = (
        Index("ix_listing_feed", "status", "created_at", "id"),
        Index("ix_listing_category_feed", "category_id", "status", "created_at", "id"),
        Index("ix_listing_place", "status", "place"),
        UTF8,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(Text)
    category_id: Mapped[int] = mapped_column(ForeignKey("category.id"))
    place: Mapped[str] = mapped_column(String(80))
    price_cents: Mapped[int | None]
    contact_email: Mapped[str] = mapped_column(String(254))
    status: Mapped[str] = mapped_column(String(16), default=Status.PENDING.value)
    created_at: Mapped[datetime] = mapped_column(default=now)

    category: Mapped[Category] = relationship(lazy="joined", innerjoin=True)


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
    """What a visitor wrote to the people who run the site."""

    __tablename__ = "message"
    __table_args__ = UTF8

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(254))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
