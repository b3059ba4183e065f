"""The notes."""

from flask import Blueprint, current_app, request, send_from_directory, session

from flaskr.db import get_db

bp = Blueprint("board", __name__)


@bp.route("/")
def index():
    """Return the notes."""
    notes = get_db().execute("SELECT text FROM note ORDER BY id").fetchall()
    return {"version": 1, "notes": [note["text"] for note in notes]}


@bp.post("/notes")
def create():
    """Add a note, with a file or without."""
    if "user" not in session:
        return {}, 403
    file = request.files.get("file")
    if file:
        file.save(f"{current_app.instance_path}/{file.filename}")
    get_db().execute("INSERT INTO note (text) VALUES (?)", (request.form["text"],))
    get_db().commit()
    return {}


@bp.route("/files/<name>")
def download(name):
    """Return a file."""
    return send_from_directory(current_app.instance_path, name)
