"""The API's requests and responses. Each rule is written once: it is validated, and described by the OpenAPI document."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ..database import models
from ..listings.search import Sort
from ..media.photos import MOST_PHOTOS

LONGEST_PAGE = 100
DEFAULT_PAGE = 20
LONGEST_SEARCH = 100
LONGEST_CURSOR = 100
MAX_ID = 2**31 - 1

# Character classes: control characters, all or without line breaks, and invisible characters.
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_CONTROL_IN_LINES = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_BLANK = r"\s\u00ad\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff"
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
EMAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$"


class Text(fields.String):
    """A text of at most `longest` characters, stored without surrounding whitespace.

    `lines` allows line breaks, `blank` allows whitespace only.
    """

    default_error_messages: ClassVar[dict[str, str]] = {
        "required": "is required",
        "null": "is required",
        "invalid": "must be a text",
        "control": "must not hold control characters",
        "empty": "must not be empty",
        "long": "must have at most {longest} characters, has {length}",
    }

    def __init__(self, longest: int, *, lines: bool = False, blank: bool = False, **options: Any) -> None:
        control = _CONTROL_IN_LINES if lines else _CONTROL
        whole = rf"^[^{control}]*$" if blank else rf"^[^{control}]*[^{_BLANK}{control}][^{control}]*$"
        shape = {"minLength": 0 if blank else 1, "maxLength": longest, "pattern": whole}
        super().__init__(metadata=shape | options.pop("metadata", {}), **options)
        self._longest = longest
        self._control = re.compile(f"[{control}]")
        self._visible = re.compile(f"[^{_BLANK}]")
        self._blank = blank

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if self._control.search(text) or _HALF_OF_A_PAIR.search(text):
            raise self.make_error("control")
        text = text.replace("\r\n", "\n").strip()
        if not self._blank and not self._visible.search(text):
            raise self.make_error("empty")
        if len(text) > self._longest:
            raise self.make_error("long", longest=self._longest, length=len(text))
        return text


class Email(Text):
    """An e-mail address."""

    default_error_messages: ClassVar[dict[str, str]] = {"email": "must be an e-mail address, such as name@example.org"}

    def __init__(self, **options: Any) -> None:
        super().__init__(models.EMAIL, metadata={"pattern": EMAIL}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(EMAIL, text):
            raise self.make_error("email")
        return text


class WholeNumber(fields.Integer):
    """A whole number from `least` to `most`: in JSON a number, in a query its digits."""

    default_error_messages: ClassVar[dict[str, str]] = {
        "required": "is required",
        "range": "must be a whole number from {least} to {most}",
    }

    def __init__(self, least: int, most: int, **options: Any) -> None:
        super().__init__(metadata={"minimum": least, "maximum": most}, **options)
        self._least = least
        self._most = most

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
            value = int(value)
        # True is an int in Python; 5.0 is an integer in JSON.
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not (known and self._least <= value <= self._most and value == int(value)):
            raise self.make_error("range", least=self._least, most=self._most)
        return int(value)


class Price(WholeNumber):
    """An amount of cents; null without a price."""

    default_error_messages: ClassVar[dict[str, str]] = {
        "range": "must be a whole number from {least} to {most}, or null"
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(0, models.MOST_CENTS, load_default=None, allow_none=True, **options)

    def _deserialize(self, value: Any, *parts: Any, **kwargs: Any) -> int:
        if isinstance(value, str):
            raise self.make_error("range", least=0, most=models.MOST_CENTS)
        return super()._deserialize(value, *parts, **kwargs)


class Moment(fields.DateTime):
    """A moment in UTC."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return value.isoformat() + "Z" if value else None


class ListingQuery(Schema):
    """The query for listings; empty strings are ignored."""

    q = Text(LONGEST_SEARCH, blank=True, load_default="", metadata={"description": "words that all have to be there"})
    category = Text(models.SLUG, blank=True, load_default="", metadata={"description": "slug of a category"})
    place = Text(models.PLACE, blank=True, load_default="", metadata={"description": "how the place begins"})
    min_price = WholeNumber(0, models.MOST_CENTS)
    max_price = WholeNumber(0, models.MOST_CENTS)
    sort = fields.Enum(
        Sort, by_value=True, load_default=Sort.NEWEST, error_messages={"unknown": "must be one of {choices}"}
    )
    limit = WholeNumber(1, LONGEST_PAGE, load_default=DEFAULT_PAGE)
    cursor = Text(
        LONGEST_CURSOR, blank=True, load_default="", metadata={"description": "next_cursor of an earlier answer"}
    )


class PhotoSizeSchema(Schema):
    """One version of a photo, sizes in pixels."""

    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    url = fields.String(required=True)


class PhotoSchema(Schema):
    """A photo: its largest size in pixels, and all its versions, the smallest first."""

    id = fields.String(required=True, attribute="name")
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    sizes = fields.List(fields.Nested(PhotoSizeSchema), required=True)


class CategorySchema(Schema):
    """A kind of listing."""

    slug = fields.String(required=True)
    name = fields.String(required=True)


class ListingSchema(Schema):
    """A listing in a list; without its e-mail address, to protect it from harvesters."""

    id = fields.Integer(required=True)
    title = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.Nested(CategorySchema, required=True)
    place = fields.String(required=True)
    price_cents = fields.Integer(required=True, allow_none=True)
    published_at = Moment(required=True)
    photos = fields.List(fields.Nested(PhotoSchema), required=True)


class ListingWithAddressSchema(ListingSchema):
    """One listing, with the address to write to."""

    contact_email = fields.String(required=True)


class ListingPageSchema(Schema):
    """Some listings, and the cursor of the next ones; null at the end."""

    items = fields.List(fields.Nested(ListingSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class CategoryCountSchema(CategorySchema):
    """A kind of listing, and the number of published ones."""

    count = fields.Integer(required=True)


class CategoriesSchema(Schema):
    """All categories, by name."""

    items = fields.List(fields.Nested(CategoryCountSchema), required=True)


class PlaceSchema(Schema):
    """A place, and the number of its listings."""

    name = fields.String(required=True)
    count = fields.Integer(required=True)


class PlacesSchema(Schema):
    """The most frequent places, by name."""

    items = fields.List(fields.Nested(PlaceSchema), required=True)


class ResourceSchema(Schema):
    """A useful address elsewhere on the web."""

    title = fields.String(required=True)
    url = fields.String(required=True)
    description = fields.String(required=True)
    section = fields.String(required=True)


class ResourcesSchema(Schema):
    """All resources, by section and title."""

    items = fields.List(fields.Nested(ResourceSchema), required=True)


class ListingContentSchema(Schema):
    """The content of a listing."""

    title = Text(models.TITLE, required=True)
    description = Text(models.DESCRIPTION, lines=True, required=True)
    category = Text(models.SLUG, required=True)
    place = Text(models.PLACE, required=True)
    price_cents = Price()
    contact_email = Email(required=True)


class SubmissionSchema(ListingContentSchema):
    """A listing as it is sent; `photos` are ids of photos that were sent before."""

    error_messages: ClassVar[dict[str, str]] = {"unknown": "is not a field", "type": "must be a JSON object"}

    photos = fields.List(
        fields.String(
            validate=validate.Regexp("^[0-9a-f]{32}$", error="must be the id of a photo"),
            error_messages={"invalid": "must be the id of a photo"},
        ),
        load_default=list,
        validate=validate.Length(max=MOST_PHOTOS, error="must be at most {max} photos"),
        metadata={"uniqueItems": True},
        error_messages={"invalid": "must be a list of photo ids"},
    )

    @validates_schema
    def check_photos(self, data: dict[str, Any], **_: Any) -> None:
        """Reject a duplicate photo."""
        if len(set(data["photos"])) < len(data["photos"]):
            raise ValidationError("must not name a photo twice", "photos")


class ReceiptSchema(Schema):
    """The status of a submission; `url` is the page that shows it."""

    receipt = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf([status.value for status in models.Status]))
    url = fields.String(required=True)


class MessageSchema(Schema):
    """A message to the operators of the site."""

    error_messages: ClassVar[dict[str, str]] = {"unknown": "is not a field", "type": "must be a JSON object"}

    name = Text(models.NAME, required=True)
    email = Email(required=True)
    body = Text(models.BODY, lines=True, required=True)


class ReceivedSchema(Schema):
    """The confirmation of a message."""

    status = fields.Constant("received", metadata={"type": "string"})


class ProblemErrorSchema(Schema):
    """One error: in the body at `pointer`, or in the query's `parameter`."""

    detail = fields.String(required=True)
    pointer = fields.String()
    parameter = fields.String()


class ProblemSchema(Schema):
    """Why a request was refused (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(ProblemErrorSchema))
    request_id = fields.String(required=True)
