"""Accounts."""

from flask import Blueprint, request, session
from werkzeug.security import check_password_hash, generate_password_hash

from flaskr.db import get_db

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.post("/register")
def register():
    """Create an account."""
    db = get_db()
    values = (request.form["name"], generate_password_hash(request.form["password"]))
    db.execute("INSERT INTO user (name, password) VALUES (?, ?)", values)
    db.commit()
    return {}


@bp.post("/login")
def login():
    """Log in."""
    user = get_db().execute("SELECT * FROM user WHERE name = ?", (request.form["name"],)).fetchone()
    if user is None or not check_password_hash(user["password"], request.form["password"]):
        return {}, 403
    session["user"] = user["id"]
    return {}
