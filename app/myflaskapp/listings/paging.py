"""Cursors: opaque strings for the start of the next page."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import NamedTuple

_MAX = 2**31 - 1
# Eleven digits of seconds end in the year 5138, which every database supports.
_SHAPE = re.compile(r"([a-z]+)\.(t[0-9]{1,11}|p[0-9]{1,10}|)\.([0-9]{1,10})")


class Cursor(NamedTuple):
    """The position of a listing in an order: its time or its price (None for no price), and its id."""

    value: datetime | int | None
    id: int


def encode(sort: str, cursor: Cursor) -> str:
    """Return the cursor in the order `sort` as a string for URLs."""
    raw = f"{sort}.{_write(cursor.value)}.{cursor.id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _write(value: datetime | int | None) -> str:
    if isinstance(value, datetime):
        return f"t{int(value.replace(tzinfo=UTC).timestamp())}"
    return "" if value is None else f"p{value}"


def decode(sort: str, text: str) -> Cursor | None:
    """Return the cursor of a string from `encode` for this order, None for any other string."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    match = _SHAPE.fullmatch(raw)
    if not match or match[1] != sort or int(match[3]) > _MAX:
        return None
    kind, digits = match[2][:1], match[2][1:]
    if (kind == "t") != (sort == "newest") or (kind == "p" and int(digits) > _MAX) or (not kind and sort != "dearest"):
        return None
    if kind == "t":
        return Cursor(datetime.fromtimestamp(int(digits), UTC).replace(tzinfo=None), int(match[3]))
    return Cursor(int(digits) if digits else None, int(match[3]))
