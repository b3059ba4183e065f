"""A forum: uv.lock, gevent, a cache in files, MySQL by URL."""

import os

from cachelib import FileSystemCache
from flask import Flask, request, send_from_directory, session
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

db = SQLAlchemy()


class User(db.Model):
    """An account."""

    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(64), unique=True, nullable=False)
    password = db.Column(db.String(255), nullable=False)


class Note(db.Model):
    """A note."""

    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.Text, nullable=False)


def create_app(config="forum.config.Config"):
    """Create the app."""
    app = Flask(__name__)
    app.config.from_object(config)
    os.makedirs(app.config["UPLOAD_FOLDER"], exist_ok=True)
    db.init_app(app)
    Migrate(app, db)
    cache = FileSystemCache(app.config["CACHE_DIR"])

    @app.get("/healthcheck")
    def healthcheck():
        db.session.execute(select(1))
        return "OK"

    @app.get("/")
    def index():
        cache.set("visits", (cache.get("visits") or 0) + 1)
        return {"version": 1, "notes": list(db.session.scalars(select(Note.text).order_by(Note.id)))}

    @app.post("/auth/register")
    def register():
        password = generate_password_hash(request.form["password"])
        db.session.add(User(name=request.form["name"], password=password))
        db.session.commit()
        return {}

    @app.post("/auth/login")
    def login():
        user = db.session.scalar(select(User).where(User.name == request.form["name"]))
        if user is None or not check_password_hash(user.password, request.form["password"]):
            return {}, 403
        session["user"] = user.id
        return {}

    @app.post("/notes")
    def create():
        if "user" not in session:
            return {}, 403
        if file := request.files.get("file"):
            file.save(os.path.join(app.config["UPLOAD_FOLDER"], file.filename))
        db.session.add(Note(text=request.form["text"]))
        db.session.commit()
        return {}

    @app.get("/files/<name>")
    def download(name):
        return send_from_directory(app.config["UPLOAD_FOLDER"], name)

    return app
