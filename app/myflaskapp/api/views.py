"""The API under /api/v1: JSON in, JSON out, errors as problem details, described by /api/v1/openapi.json."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, current_app, jsonify, request, url_for
from flask_smorest import Api, Blueprint
from marshmallow import Schema
from sqlalchemy import select
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import BaseConverter, ValidationError

from ..database.engine import UNAVAILABLE, db
from ..database.models import Category, Listing, Resource
from ..listings import paging, search, submissions
from ..media import photos
from ..web import problems, rate_limits
from . import schemas

PREFIX = "/api/v1"
MOST_PLACES = 500


class JsonParser(FlaskParser):
    """Uses the JSON that `check_type` has parsed."""

    def load_json(self, _request: Request, _schema: Schema) -> Any:
        return read_json()


class ApiBlueprint(Blueprint):
    """Parses the JSON of a request once."""

    ARGUMENTS_PARSER = JsonParser()


blueprint = ApiBlueprint("api", __name__, url_prefix=PREFIX, description="Listings, and what people send")


class IdConverter(BaseConverter):
    """A valid row id, in digits."""

    regex = "[1-9][0-9]{0,9}"

    def to_python(self, value: str) -> int:
        """Return the id.

        Raises:
            ValidationError: It is not a valid row id.
        """
        if int(value) > schemas.MAX_ID:
            raise ValidationError
        return int(value)


class ProblemApi(Api):
    """Describes the API; `problems` handles the errors."""

    # Each view lists its own problem responses.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register none."""


def init_app(app: Flask) -> None:
    """Serve the API and its description."""
    app.url_map.converters["id"] = IdConverter
    app.config |= {
        "API_TITLE": "Harbour Board",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
        "API_SPEC_OPTIONS": {
            "info": {"description": "Community listings. Prices are in Canadian cents, times in UTC."}
        },
    }
    api = ProblemApi(app)
    api.register_converter(IdConverter, lambda _: {"type": "integer", "minimum": 1, "maximum": schemas.MAX_ID})
    api.register_blueprint(blueprint)
    app.extensions["openapi"] = api.spec
    app.add_url_rule(f"{PREFIX}/openapi.json", view_func=openapi)


def openapi() -> Response:
    """Describe the API; the categories are those of the database."""
    described = current_app.extensions["openapi"].to_dict()
    try:
        slugs = list(db.session.scalars(select(Category.slug).order_by(Category.slug)))
    except UNAVAILABLE:
        return jsonify(described)
    described["components"]["schemas"]["Submission"]["properties"]["category"] = {"type": "string", "enum": slugs}
    return set_caching(jsonify(described))


def refuses(*statuses: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe the problem responses of a view, in addition to an unreachable database."""

    def describe(function: Callable[..., Any]) -> Callable[..., Any]:
        for status in (*statuses, 503):
            function = blueprint.alt_response(
                status, schema=schemas.ProblemSchema, content_type="application/problem+json"
            )(function)
        return function

    return describe


@blueprint.before_request
def check_type() -> None:
    """Reject a body that is not sent as JSON where JSON is expected; a form of another site can't send JSON."""
    if request.method == "POST" and request.endpoint != "api.add_photo":
        if request.mimetype != "application/json":
            raise UnsupportedMediaType("Send the body as application/json.")
        read_json()


def read_json() -> Any:
    """Return the request's JSON.

    Raises:
        RequestEntityTooLarge: It is longer than the app's limit.
        BadRequest: It is not JSON.
    """
    try:
        return request.get_json()
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge("The body is too large.") from None
    except (BadRequest, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None


@blueprint.after_request
def set_caching(response: Response) -> Response:
    """Support revalidation by caches: respond with 304 when nothing has changed."""
    response.headers.setdefault("Cache-Control", "no-cache")
    if request.method in ("GET", "HEAD") and response.status_code == 200:
        response.add_etag()
        response.make_conditional(request)
    return response


@blueprint.route("/listings")
@blueprint.arguments(schemas.ListingQuery, location="query")
@blueprint.response(200, schemas.ListingPageSchema)
@refuses(404, 422)
def list_listings(query: dict[str, Any]) -> dict[str, Any]:
    """Return some published listings, and a cursor for the next ones."""
    text, sort = query.pop("cursor"), query["sort"]
    after = paging.decode(sort.value, text) if text else None
    if text and after is None:
        raise NotFound(
            "There is no such page: the cursor has to be a next_cursor of an earlier answer, with the same sort."
        )
    page, following = search.find_published(**query, after=after)
    return {"items": page, "next_cursor": paging.encode(sort.value, following) if following else None}


@blueprint.route("/listings/<id:listing_id>")
@blueprint.response(200, schemas.ListingWithAddressSchema)
@refuses(404)
def get_listing(listing_id: int) -> Listing:
    """Return one published listing, with the address to write to."""
    listing = search.get_published(listing_id)
    if listing is None:
        raise NotFound("There is no such listing.")
    return listing


@blueprint.route("/categories")
@blueprint.response(200, schemas.CategoriesSchema)
@refuses()
def list_categories() -> dict[str, Any]:
    """Return all categories, with the number of their listings."""
    found = search.count_by_category()
    return {"items": [{"slug": slug, "name": name, "count": count} for slug, name, count in found]}


@blueprint.route("/places")
@blueprint.response(200, schemas.PlacesSchema)
@refuses()
def list_places() -> dict[str, Any]:
    """Return the most frequent places, with the number of their listings."""
    return {"items": [{"name": name, "count": count} for name, count in search.count_by_place(MOST_PLACES)]}


@blueprint.route("/resources")
@blueprint.response(200, schemas.ResourcesSchema)
@refuses()
def list_resources() -> dict[str, Any]:
    """Return useful addresses elsewhere on the web."""
    return {"items": list(db.session.scalars(select(Resource).order_by(Resource.section, Resource.title)))}


@blueprint.route("/photos", methods=["POST"])
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {
            f"image/{kind.lower()}": {"schema": {"type": "string", "format": "binary"}} for kind in photos.FORMATS
        },
    }
)
@blueprint.response(201, schemas.PhotoSchema)
@refuses(413, 415, 422, 429)
@rate_limits.photos
def add_photo() -> Any:
    """Store a photo, which a submission can use for a day; the body is the file."""
    # One more byte, because a body without a length is truncated there.
    request.max_content_length = photos.MAX_BYTES + 1
    try:
        content = request.get_data(cache=False)
    except RequestEntityTooLarge:
        content = None
    if content is None or len(content) > photos.MAX_BYTES:
        raise RequestEntityTooLarge(f"A photo may have at most {photos.MAX_BYTES // 1_000_000} MB.")
    try:
        return photos.add(content)
    except photos.NotAPhotoError:
        raise UnsupportedMediaType("The file has to be a JPEG, PNG or WebP picture.") from None
    except photos.BadPhotoError as error:
        raise problems.in_body("", str(error)) from None


@blueprint.route("/submissions", methods=["POST"])
@blueprint.arguments(schemas.SubmissionSchema)
@blueprint.response(201, schemas.ReceiptSchema)
@blueprint.alt_response(200, schema=schemas.ReceiptSchema)
@refuses(400, 409, 413, 415, 422, 429)
@rate_limits.writes
def add_submission(content: dict[str, Any]) -> Any:
    """Store a listing until it is reviewed; a duplicate of a pending one gets a 200 response."""
    try:
        listing, new = submissions.submit(content)
    except submissions.NoSuchPhotoError as error:
        raise problems.conflict(error.field, str(error)) from None
    except submissions.BadSubmissionError as error:
        raise problems.in_body(error.field, str(error)) from None
    return receipt_of(listing), 201 if new else 200


@blueprint.route("/submissions/<receipt>")
@blueprint.response(200, schemas.ReceiptSchema)
@refuses(404)
def get_submission(receipt: str) -> dict[str, Any]:
    """Return the status of a submission."""
    listing = submissions.find_by_receipt(receipt)
    if listing is None:
        raise NotFound("There is no such submission.")
    return receipt_of(listing)


@blueprint.route("/messages", methods=["POST"])
@blueprint.arguments(schemas.MessageSchema)
@blueprint.response(201, schemas.ReceivedSchema)
@refuses(400, 413, 415, 422, 429)
@rate_limits.writes
def add_message(content: dict[str, Any]) -> dict[str, Any]:
    """Store a message to the operators; a duplicate of a stored one is ignored."""
    submissions.keep_message(content)
    return {}


def receipt_of(listing: Listing) -> dict[str, Any]:
    """Return the response to the sender of a listing."""
    url = url_for("routes.show_submission", receipt=listing.receipt)
    return {"receipt": listing.receipt, "status": listing.status, "url": url}
