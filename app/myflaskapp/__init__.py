"""The listings site: the application factory."""

import os
from pathlib import Path

import config
from flask import Flask
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

from . import maintenance, routes
from .api import views as api
from .database import engine as database
from .listings import seed
from .media import stores as media
from .moderation import moderators
from .moderation import views as moderation
from .web import health, problems, rate_limits, request_log, security

APP_DIRECTORY = Path(__file__).resolve().parent.parent
MAX_BODY_BYTES = 64 * 1024


def create_app(settings: config.Config | None = None) -> Flask:
    """Return the app, configured by `settings` or else by the environment. Opens no connection.

    Raises:
        config.ConfigError: A setting in the environment is missing or invalid.
    """
    settings = settings or config.load(os.environ)
    app = request_log.LoggedFlask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # nginx is the only proxy: its headers about scheme and host are trusted, and no others.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]

    request_log.init_app(app)
    database.init_app(app, settings)
    # An absolute path, so that `flask db` works from any directory.
    Migrate(app, database.db, directory=str(APP_DIRECTORY / "migrations"))
    media.init_app(app, settings.media)
    security.init_app(app)
    rate_limits.init_app(app, settings.writes_per_minute)
    problems.init_app(app)
    api.init_app(app)
    health.init_app(app, settings)
    app.register_blueprint(routes.blueprint)
    app.register_blueprint(moderation.blueprint)
    for command in (seed.seed, maintenance.clean, moderators.commands):
        app.cli.add_command(command)
    return app
