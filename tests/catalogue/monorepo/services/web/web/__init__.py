"""A member of a workspace: notes in files."""

import os
from pathlib import Path

from core import sign
from flask import Flask, request

UPLOAD_DIR = Path(os.environ.get("UPLOAD_DIR", "uploads"))

app = Flask(__name__)
app.secret_key = os.environ["FLASK_SECRET_KEY"]


@app.get("/")
def index():
    """Return the notes."""
    notes = sorted(UPLOAD_DIR.glob("*.txt"), key=lambda path: path.stat().st_mtime)
    return {"version": 1, "notes": [path.read_text() for path in notes], "signed": sign("web", app.secret_key)}


@app.get("/readyz")
def readyz():
    """Respond when the app can write."""
    return ("", 200) if os.access(UPLOAD_DIR, os.W_OK) else ("", 503)


@app.post("/notes")
def create():
    """Add a note."""
    name = f"{len(list(UPLOAD_DIR.glob('*.txt')))}.txt"
    (UPLOAD_DIR / name).write_text(request.form["text"])
    return {}
