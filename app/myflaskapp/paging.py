"""Cursors: an opaque text that says after which listing the next page starts."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import NamedTuple

from .fields import MAX_ID

# Eleven digits of seconds end in the year 5138, which every database knows.
_SHAPE = re.compile(rb"([0-9]{1,11})\.([0-9]{1,10})")


class Cursor(NamedTuple):
    """The place of one listing in the order newest first."""

    created_at: datetime
    id: int


def encode(cursor: Cursor) -> str:
    """Return the cursor as a text for addresses."""
    second = int(cursor.created_at.replace(tzinfo=UTC).timestamp())
    return base64.urlsafe_b64encode(f"{second}.{cursor.id}".encode()).decode().rstrip("=")


def decode(text: str) -> Cursor | None:
    """Return the cursor that `encode` made into `text`, None when it did not."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    match = _SHAPE.fullmatch(raw)
    if not match or int(match[2]) > MAX_ID:
        return None
    return Cursor(datetime.fromtimestamp(int(match[1]), UTC).replace(tzinfo=None), int(match[2]))
