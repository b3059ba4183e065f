"""Errors: problem details (RFC 9457) for the API, a page for browsers."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, render_template, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException, UnprocessableEntity

from ..database.engine import UNAVAILABLE, describe, end_transaction
from ..media.stores import MediaError
from . import rate_limits

RETRY_AFTER_SECONDS = 5
INVALID_INPUT = "urn:problem-type:listings:invalid-input"
log = logging.getLogger(__name__)


class InvalidInputError(Exception):
    """The input is well formed but breaks a rule: 422 or 409, with all errors at once.

    `mistakes` are pairs of where, such as `{"pointer": "#/title"}` or `{"parameter": "limit"}`, and what.
    """

    def __init__(
        self, mistakes: list[tuple[dict[str, str], str]], status: int = HTTPStatus.UNPROCESSABLE_ENTITY
    ) -> None:
        super().__init__("invalid input")
        self.mistakes = mistakes
        self.status = status


def in_body(field: str, detail: str) -> InvalidInputError:
    """Return the error that the field of the body (`photos/0` is its first photo, "" all of it) is not right."""
    return InvalidInputError([({"pointer": f"#/{field}" if field else "#"}, detail)])


def conflict(field: str, detail: str) -> InvalidInputError:
    """Return the error that the field of the body refers to something that does not exist or is not free."""
    return InvalidInputError([({"pointer": f"#/{field}"}, detail)], HTTPStatus.CONFLICT)


def init_app(app: Flask) -> None:
    """Handle every error of `app`."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(UnprocessableEntity, _refused_by_schema)
    app.register_error_handler(RateLimitExceeded, _too_often)
    app.register_error_handler(InvalidInputError, _invalid_input)
    app.register_error_handler(MediaError, _media_unavailable)
    for kind in UNAVAILABLE:
        app.register_error_handler(kind, _database_unavailable)


def _http_error(error: HTTPException) -> Response:
    original = getattr(error, "original_exception", None)
    if isinstance(original, UNAVAILABLE):
        # Raised after the response was created, when Flask uses no other handler.
        return _database_unavailable(original)
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    response = _answer(status, error.description or "")
    # Headers of the status, such as Allow; not the content type and length of the original page.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _refused_by_schema(error: UnprocessableEntity) -> Response:
    """Handle the errors of the schemas: messages by location, then by field."""
    messages: dict[str, Any] = getattr(error, "data", {}).get("messages", {})
    if "_schema" in messages.get("json", {}):
        return _answer(HTTPStatus.BAD_REQUEST, "The body has to be a JSON object.")
    found = []
    for place, mistakes in messages.items():
        for path, detail in _flatten(mistakes):
            where = {"pointer": f"#/{path}"} if place == "json" else {"parameter": path}
            found.append((where, detail))
    return _invalid_input(InvalidInputError(found))


def _flatten(mistakes: dict[Any, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the message of each error of a schema."""
    for name, below in mistakes.items():
        path = above + _printable(str(name)).replace("~", "~0").replace("/", "~1")
        if isinstance(below, dict):
            yield from _flatten(below, f"{path}/")
        else:
            yield from ((path, detail) for detail in below)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:40])


def _invalid_input(error: InvalidInputError) -> Response:
    return _problem(
        error.status,
        "Some of the input is not valid; `errors` says what and where.",
        type=INVALID_INPUT,
        title="Invalid input",
        errors=[{"detail": detail, **where} for where, detail in error.mistakes],
    )


def _too_often(_: RateLimitExceeded) -> Response:
    seconds = rate_limits.retry_after()
    return _later(HTTPStatus.TOO_MANY_REQUESTS, "That was too often. Please wait a little and try again.", seconds)


def _media_unavailable(error: Exception) -> Response:
    log.warning("media unavailable", extra={"fields": {"request_id": g.request_id, "reason": str(error)}})
    return _later(HTTPStatus.SERVICE_UNAVAILABLE, "The photos can't be reached just now. Please try again soon.")


def _database_unavailable(error: Exception) -> Response:
    # The error page queries the moderator on another connection.
    end_transaction()
    log.warning("database unavailable", extra={"fields": {"request_id": g.request_id, **describe(error)}})
    return _later(HTTPStatus.SERVICE_UNAVAILABLE, "The database can't be reached just now. Please try again soon.")


def _later(status: int, detail: str, seconds: int = RETRY_AFTER_SECONDS) -> Response:
    response = _answer(status, detail, seconds)
    response.headers["Retry-After"] = str(seconds)
    return response


def _answer(status: int, detail: str, retry_after: int | None = None) -> Response:
    """Return a problem for the API, a page for anything else."""
    if request.path.startswith("/api/"):
        return _problem(status, detail)
    title = HTTPStatus(status).phrase
    page = render_template("error.html", status=int(status), title=title, detail=detail, retry_after=retry_after)
    response = Response(page, status=int(status), mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem(status: int, detail: str, type: str = "about:blank", title: str = "", **members: object) -> Response:
    body = {
        "type": type,
        "title": title or HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        **members,
        "request_id": g.request_id,
    }
    response = jsonify(body)
    response.status_code = int(status)
    response.mimetype = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    return response
