"""The configuration."""

import os

basedir = os.path.abspath(os.path.dirname(__file__))


class Config:
    """The configuration."""

    SECRET_KEY = os.environ.get("SECRET_KEY") or "you-will-never-guess"
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL", "").replace(
        "postgres://", "postgresql://"
    ) or "sqlite:///" + os.path.join(basedir, "app.db")
    LOG_TO_STDOUT = os.environ.get("LOG_TO_STDOUT")
    REDIS_URL = os.environ.get("REDIS_URL") or "redis://"
    MAIL_SERVER = os.environ.get("MAIL_SERVER")
