"""The form in which moderators edit a listing: its fields as text, and their errors as sentences."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from ..api.schemas import ListingContentSchema, Text
from ..database.models import CENTS, REASON, Listing
from ..listings import submissions

FIELDS = ("title", "description", "category", "place", "price", "contact_email", "reason")
# In the same format as on the visitors' form.
_DOLLARS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,2})?")


def values_of(listing: Listing) -> dict[str, str]:
    """Return the fields of the form for a listing."""
    return {
        "title": listing.title,
        "description": listing.description,
        "category": listing.category.slug,
        "place": listing.place,
        "price": "" if listing.price_cents is None else f"{Decimal(listing.price_cents) / CENTS:.2f}",
        "contact_email": listing.contact_email,
        "reason": listing.reason,
    }


def load(values: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the content of a form, and a sentence for each invalid field."""
    given: dict[str, Any] = {
        name: values[name] for name in ("title", "description", "category", "place", "contact_email")
    }
    errors = {}
    try:
        given["price_cents"] = _cents(values["price"])
    except ValueError:
        errors["price"] = "This must be an amount of dollars, such as 45 or 12.50."
    found = ListingContentSchema().validate(given)
    errors |= {"price" if name == "price_cents" else name: _sentence(texts[0]) for name, texts in found.items()}
    if errors:
        return {}, errors
    content = ListingContentSchema().load(given)
    try:
        content["category"] = submissions.find_category(content["category"])
    except submissions.BadSubmissionError as error:
        errors[error.field] = _sentence(str(error))
    return content, errors


def load_reason(values: dict[str, str], errors: dict[str, str]) -> str:
    """Return the reason of a refusal; an invalid one is added to `errors`."""
    try:
        return Text(REASON, lines=True).deserialize(values["reason"])
    except ValidationError as error:
        errors["reason"] = _sentence(error.messages[0])
        return ""


def _cents(dollars: str) -> int | None:
    """Return an amount of dollars in cents, None when there is none.

    Raises:
        ValueError: It is not an amount, or has fractions of cents.
    """
    text = re.sub(r"[,\s](?=[0-9]{3}\b)", "", re.sub(r"^\$\s*|\s*\$$", "", dollars.strip()))
    if not text:
        return None
    if not _DOLLARS.fullmatch(text):
        raise ValueError(dollars)
    return int(Decimal(text) * CENTS)


def _sentence(detail: str) -> str:
    return f"This {detail}."
