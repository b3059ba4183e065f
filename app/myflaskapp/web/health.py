"""Liveness of the app, and readiness of its dependencies."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
from config import Config
from flask import Blueprint, Flask, Response, current_app, g, jsonify
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ..database.credentials import CredentialsError, decrypt
from ..database.engine import db, describe
from ..database.models import Category
from ..media import stores as media
from ..moderation import moderators

# Seconds for which a result is cached, because anybody may request it at any rate.
SERVES = 1.0

blueprint = Blueprint("health", __name__)
log = logging.getLogger(__name__)


class Readiness:
    """Checks the app's dependencies in parallel."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: dict[str, Any] = {}
        self._at = float("-inf")

    def look(self) -> dict[str, Any]:
        """Return `{"ok": bool, "ms": float}` for each dependency, with a "reason" when it is unavailable."""
        with self._lock:
            if time.monotonic() - self._at > SERVES:
                app = current_app._get_current_object()  # type: ignore[attr-defined]

                def ask(need: Callable[[], None]) -> dict[str, Any]:
                    with app.app_context():
                        return _time(need)

                with ThreadPoolExecutor() as pool:
                    needs = self._needs()
                    self._seen = dict(zip(needs, pool.map(ask, needs.values()), strict=True))
                self._at = time.monotonic()
            return self._seen

    def _needs(self) -> dict[str, Callable[[], None]]:
        needs = {"database": _ask_database, "media": lambda: media.store().check()}
        credentials = self._settings.credentials
        if credentials:
            needs["key"] = lambda: decrypt(credentials) and None
        return needs


def _ask_database() -> None:
    with db.engine.connect() as connection:
        # A table, because an empty database is not ready either.
        connection.execute(select(Category.id).limit(1))


def _time(need: Callable[[], None]) -> dict[str, Any]:
    began = time.monotonic()
    found: dict[str, Any] = {"ok": True}
    try:
        need()
    except media.MediaError as error:
        found = {"ok": False, "reason": str(error)}
    except (SQLAlchemyError, CredentialsError) as error:
        found = {"ok": False, **describe(error)}
    return found | {"ms": round((time.monotonic() - began) * 1000, 1)}


def init_app(app: Flask, settings: Config) -> None:
    """Add the health endpoints and the command to `app`."""
    app.extensions["readiness"] = Readiness(settings)
    app.register_blueprint(blueprint)
    app.cli.add_command(ready)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Liveness: the process responds, without checking its dependencies."""
    return _health({"status": "ok"}, 200)


@blueprint.get("/readyz")
def readyz() -> Response:
    """Readiness: whether all dependencies are available; details are for moderators, and for the log on failure."""
    needs = current_app.extensions["readiness"].look()
    ok = all(need["ok"] for need in needs.values())
    if not ok:
        log.warning("not ready", extra={"fields": {"request_id": g.request_id, "needs": needs}})
    body: dict[str, Any] = {"status": "ok" if ok else "unavailable"}
    if moderators.name_if_known():
        body["needs"] = needs
    return _health(body, 200 if ok else 503)


def _health(body: dict[str, Any], code: int) -> Response:
    response = jsonify(body)
    response.status_code = code
    response.headers["Cache-Control"] = "no-store"
    return response


@click.command("ready")
@with_appcontext
def ready() -> None:
    """Show whether the database, the media store and the key are available, with response times."""
    needs = current_app.extensions["readiness"].look()
    for name, need in needs.items():
        click.echo(f"{name:10}{need['ms']:8.1f} ms  {'ok' if need['ok'] else need['reason']}")
    if not all(need["ok"] for need in needs.values()):
        raise SystemExit(1)
