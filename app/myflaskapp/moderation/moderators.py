"""Moderators: accounts, managed on the command line, and sessions."""

import hashlib
import hmac
import secrets
import sys
from datetime import timedelta

import click
from flask import Response, g, request
from flask.cli import AppGroup
from sqlalchemy import delete, select
from werkzeug.security import check_password_hash, generate_password_hash

from ..database.engine import UNAVAILABLE, db
from ..database.models import MODERATOR, Moderator, Session, now
from ..web.security import BROWSER_COOKIE, SESSION_COOKIE, set_cookie

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
LASTS = timedelta(hours=12)
BROWSER_LASTS = timedelta(days=365)
# Verified for an unknown name, so that the response time is the same.
_NOBODY = generate_password_hash(secrets.token_hex())

commands = AppGroup("moderator", help="Add, list and remove moderators.")


def log_in(name: str, password: str) -> tuple[Moderator, str] | None:
    """Start a session and return the moderator and the session's token, None for a wrong name or password; the caller commits."""
    moderator = db.session.scalar(select(Moderator).where(Moderator.name == name[:MODERATOR]))
    known = check_password_hash(moderator.password_hash if moderator else _NOBODY, password[:LONGEST_PASSWORD])
    # The database compares without case.
    if moderator is None or not known or moderator.name != name:
        return None
    token = secrets.token_urlsafe(32)
    db.session.add(Session(token_hash=_hash(token), moderator_id=moderator.id, expires_at=now() + LASTS))
    return moderator, token


def set_session(response: Response, moderator: Moderator, token: str) -> None:
    """Set the session cookie, which ends with the browser or after LASTS, and the cookie that identifies the browser next time."""
    set_cookie(response, SESSION_COOKIE, token)
    browser = secrets.token_hex(16)
    set_cookie(response, BROWSER_COOKIE, f"{browser}.{_proof(moderator, browser)}", BROWSER_LASTS)


def known_browser(name: str) -> str | None:
    """Return the id of the client's browser, None unless this moderator was the last to log in from it.

    A new password makes every browser unknown.
    """
    browser, _, proof = request.cookies.get(BROWSER_COOKIE, "").partition(".")
    # Without a name there is nothing to query.
    if not (name and proof):
        return None
    moderator = db.session.scalar(select(Moderator).where(Moderator.name == name[:MODERATOR]))
    if moderator and hmac.compare_digest(proof.encode(), _proof(moderator, browser).encode()):
        return browser
    return None


def _proof(moderator: Moderator, browser: str) -> str:
    return hmac.new(moderator.password_hash.encode(), browser.encode(), hashlib.sha256).hexdigest()


def log_out(response: Response) -> None:
    """End the session, in the database and in the browser."""
    db.session.execute(delete(Session).where(Session.token_hash == _hash(request.cookies.get(SESSION_COOKIE, ""))))
    db.session.commit()
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="Lax", path="/")


def current_name() -> str | None:
    """Return the name of the logged-in moderator, None for other visitors.

    Raises:
        database.UNAVAILABLE: The database is unavailable.
    """
    if "moderator" not in g:
        g.moderator = None
        token = request.cookies.get(SESSION_COOKIE)
        session = db.session.get(Session, _hash(token)) if token else None
        if session and session.expires_at > now():
            g.moderator = session.moderator.name
    return g.moderator


def name_if_known() -> str | None:
    """Return the same for display only: also None when the database is unavailable."""
    try:
        return current_name()
    except UNAVAILABLE:
        return None


def remove_past_sessions() -> int:
    """Remove expired sessions and return their number; the caller commits."""
    return db.session.execute(delete(Session).where(Session.expires_at <= now())).rowcount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@commands.command("add")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
def add(name: str, password_stdin: bool) -> None:
    """Add a moderator, or set a new password, which ends existing sessions."""
    if not 0 < len(name) <= MODERATOR or not name.isprintable() or name != name.strip():
        raise click.UsageError(f"The name has to have 1 to {MODERATOR} printable characters, without blanks around it.")
    password = _read_line() if password_stdin else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise click.UsageError(
            f"The password has to have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, has {len(password)}."
        )
    moderator = db.session.scalar(select(Moderator).where(Moderator.name == name))
    if moderator:
        moderator.password_hash = generate_password_hash(password)
        db.session.execute(delete(Session).where(Session.moderator_id == moderator.id))
    else:
        db.session.add(Moderator(name=name, password_hash=generate_password_hash(password)))
    db.session.commit()
    click.echo(f"{name} has a new password." if moderator else f"Added {name}, who logs in at /moderation/.")


def _read_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


@commands.command("list")
def show() -> None:
    """List the moderators."""
    for name in db.session.scalars(select(Moderator.name).order_by(Moderator.name)):
        click.echo(name)


@commands.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a moderator and end the sessions; the audit trail keeps the name."""
    moderator = db.session.scalar(select(Moderator).where(Moderator.name == name))
    if moderator is None:
        raise click.UsageError(f"There is no moderator {name}.")
    db.session.execute(delete(Session).where(Session.moderator_id == moderator.id))
    db.session.delete(moderator)
    db.session.commit()
    click.echo(f"Removed {name}.")
