"""Structured logs: JSON lines on standard output, one line per request, without personal data."""

import json
import logging
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, request

from ..database.engine import UNAVAILABLE

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
log = logging.getLogger(__name__)


class JsonLines(logging.Handler):
    """Writes each record as one line of JSON, in one call so that lines of several threads do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = logging.Formatter().formatException(record.exc_info)
        try:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        except OSError:
            self.handleError(record)


class LoggedFlask(Flask):
    """Logs an unhandled exception with the request's id and without its path."""

    def log_exception(self, exc_info: Any) -> None:
        """Log an unhandled exception; an unavailable database is logged by its error handler."""
        if isinstance(exc_info[1], UNAVAILABLE):
            return
        fields = {"request_id": g.get("request_id"), "method": request.method, "route": _route()}
        log.error("bug", exc_info=exc_info, extra={"fields": fields})


def init_app(app: Flask) -> None:
    """Log every request of `app` with an id: nginx's, or a new one."""
    logger = logging.getLogger("myflaskapp")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [JsonLines()]
    # Also warnings of libraries that have no handler.
    logging.basicConfig(handlers=logger.handlers)
    logging.captureWarnings(True)
    app.before_request(_start)
    app.after_request(_finish)


def _route() -> str | None:
    """Return the URL rule, not path and query, which contain receipts and search words."""
    return request.url_rule.rule if request.url_rule else None


def _start() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.monotonic()


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    fields = {
        "request_id": g.request_id,
        "method": request.method,
        "route": _route(),
        "status": response.status_code,
        "ms": round((time.monotonic() - g.started) * 1000, 1),
    }
    log.info("request", extra={"fields": fields})
    return response
