"""The routes of accounts."""

from functools import wraps

from flask import redirect, request, session
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from app import db
from app.auth import bp
from app.models import User


def login_required(view):
    """Redirect to the login."""

    @wraps(view)
    def checked(*arguments, **options):
        return view(*arguments, **options) if "user" in session else redirect("/auth/login")

    return checked


@bp.route("/login", methods=["GET", "POST"])
def login():
    """Log in."""
    if request.method == "GET":
        return "name and password, please"
    user = db.session.scalar(select(User).where(User.name == request.form["name"]))
    if user is None or not check_password_hash(user.password, request.form["password"]):
        return {}, 403
    session["user"] = user.id
    return {}


@bp.route("/register", methods=["POST"])
def register():
    """Create an account."""
    db.session.add(User(name=request.form["name"], password=generate_password_hash(request.form["password"])))
    db.session.commit()
    return {}
