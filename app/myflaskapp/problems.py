"""Errors: problem details (RFC 9457) for programs, a page for people."""

import logging
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from .database import UNAVAILABLE, describe

RETRY_AFTER_SECONDS = 5
INVALID_INPUT = "urn:problem-type:listings:invalid-input"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldError:
    """One mistake in the input. `where` is `{"pointer": "#/title"}` or `{"parameter": "limit"}`."""

    where: dict[str, str]
    detail: str


class InvalidInputError(Exception):
    """The input is well formed but breaks a rule; answered with 422 and all mistakes at once."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("invalid input")
        self.errors = errors


def init_app(app: Flask) -> None:
    """Answer every error of `app` in the right form."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InvalidInputError, _invalid_input)
    for kind in UNAVAILABLE:
        app.register_error_handler(kind, _unavailable)


def _http_error(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    response = _answer(status, error.description or "")
    # Headers that the status needs, such as Allow; not the type and length of the page they came with.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _invalid_input(error: InvalidInputError) -> Response:
    errors = [{"detail": mistake.detail, **mistake.where} for mistake in error.errors]
    return _problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Some of the input is not valid; `errors` says what and where.",
        type=INVALID_INPUT,
        title="Invalid input",
        errors=errors,
    )


def _unavailable(error: Exception) -> Response:
    log.warning("database unavailable", extra={"fields": {"request_id": g.request_id, **describe(error)}})
    response = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "The database can't be reached just now. Please try again soon.")
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _answer(status: int, detail: str) -> Response:
    """Return a problem for the API, a page for anything else."""
    if request.path.startswith("/api/"):
        return _problem(status, detail)
    page = render_template("error.html", status=int(status), title=HTTPStatus(status).phrase)
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
