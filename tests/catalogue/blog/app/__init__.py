"""A blog: requirements.txt, a Procfile, PostgreSQL's driver only, a worker on Redis."""

import logging
import os
from logging.handlers import RotatingFileHandler

from config import Config
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from rq import Queue

db = SQLAlchemy()
migrate = Migrate()


def create_app(config_class=Config):
    """Create the app."""
    app = Flask(__name__)
    app.config.from_object(config_class)
    db.init_app(app)
    migrate.init_app(app, db)
    app.queue = Queue("blog-tasks", connection=Redis.from_url(app.config["REDIS_URL"]))

    from app.auth import bp as auth_bp
    from app.main import bp as main_bp

    app.register_blueprint(auth_bp, url_prefix="/auth")
    app.register_blueprint(main_bp)

    if app.config["LOG_TO_STDOUT"]:
        app.logger.addHandler(logging.StreamHandler())
    else:
        os.makedirs("logs", exist_ok=True)
        app.logger.addHandler(RotatingFileHandler("logs/blog.log", maxBytes=10240, backupCount=10))
    return app
