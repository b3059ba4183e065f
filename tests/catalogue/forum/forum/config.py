"""The configuration, by environment variables."""

import os
from pathlib import Path

HERE = Path(__file__).parent


class Config:
    """The configuration."""

    SECRET_KEY = os.environ["SECRET_KEY"]
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL") or f"sqlite:///{HERE}/forum.db"
    UPLOAD_FOLDER = os.environ.get("UPLOAD_FOLDER") or str(HERE / "uploads")
    CACHE_DIR = os.environ.get("CACHE_DIR", str(HERE.parent / ".data" / "cache"))
    MAIL_SERVER = os.environ.get("MAIL_SERVER")
