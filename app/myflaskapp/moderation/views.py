"""The moderators' pages: the queue, messages, and the audit trail."""

import re
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy import func, select
from werkzeug.exceptions import BadRequest, Forbidden, NotFound
from werkzeug.wrappers import Response as AnyResponse

from ..database.engine import db
from ..database.models import AuditEntry, Category, Listing, Message, Status
from ..web import rate_limits
from ..web.security import SAFE_METHODS, check_csrf_token, csrf_token
from . import decisions, forms, moderators

PAGE = 50
LOGIN = "moderation.login"
# Confirmations, shown on the next page.
DONE = {
    "save": "The changes are saved.",
    "publish": "The listing is on the board.",
    "reject": "The listing is not on the board, and the sender can read why.",
    "remove": "The message is removed.",
}
_OWN_PATH = re.compile("/moderation/[A-Za-z0-9/?=&_-]*")

blueprint = Blueprint("moderation", __name__, url_prefix="/moderation")


@blueprint.before_request
def require_moderator() -> AnyResponse | None:
    """Redirect visitors without a login, and check every form's token."""
    reads = request.method in SAFE_METHODS
    if request.endpoint != LOGIN and not moderators.current_name():
        if reads:
            return redirect(url_for(LOGIN, next=request.full_path), 303)
        raise Forbidden(
            "Your session has ended. Nothing was changed: go back to copy what you have written, then log in again."
        )
    if not reads:
        check_csrf_token()
    return None


@blueprint.after_request
def keep_private(response: Response) -> Response:
    """Keep these pages out of caches and search engines."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@blueprint.app_context_processor
def tell_templates() -> dict[str, Any]:
    """Pass the moderator's name to every template, and a token where there is a form."""
    name = moderators.name_if_known()
    return {
        "moderator": name,
        "csrf_token": csrf_token() if name or request.blueprint == "moderation" else "",
        "done": DONE.get(request.args.get("done", "")) if name else None,
    }


@blueprint.get("/login")
@blueprint.post("/login")
@rate_limits.logins
@rate_limits.logins_for_a_name
def login() -> AnyResponse | tuple[str, int] | str:
    """Show the login form; start a session."""
    name, following = request.form.get("name", "").strip(), _own_path(request.values.get("next", ""))
    if request.method in SAFE_METHODS:
        return render_template("moderation/login.html", problem="", name="", next=following)
    found = moderators.log_in(name, request.form.get("password", ""))
    if found is None:
        problem = "This name and password don't belong together."
        return render_template("moderation/login.html", problem=problem, name=name, next=following), 403
    moderator, token = found
    decisions.record("logged in", moderator=moderator.name)
    db.session.commit()
    response = redirect(following, 303)
    moderators.set_session(response, moderator, token)
    return response


def _own_path(address: str) -> str:
    """Return the URL if it is one of these pages, else the queue's."""
    return address if _OWN_PATH.fullmatch(address) else url_for("moderation.queue")


@blueprint.post("/logout")
def logout() -> AnyResponse:
    """End the session."""
    response = redirect(url_for(LOGIN), 303)
    moderators.log_out(response)
    return response


@blueprint.get("/")
def queue() -> str:
    """Show the listings of one status: pending ones oldest first, others newest first."""
    status = request.args.get("status", Status.PENDING.value)
    if status not in list(Status):
        raise NotFound
    oldest_first = status == Status.PENDING.value
    order = (Listing.created_at, Listing.id) if oldest_first else (Listing.created_at.desc(), Listing.id.desc())
    query = select(Listing).where(Listing.status == status).order_by(*order)
    listings, next_url = _page(query, "moderation.queue", status=status)
    found = db.session.execute(select(Listing.status, func.count()).group_by(Listing.status))
    counts = {known.value: 0 for known in Status} | dict(tuple(row) for row in found)
    return render_template("moderation/queue.html", status=status, counts=counts, listings=listings, next_url=next_url)


@blueprint.get("/listings/<id:listing_id>")
def show_listing(listing_id: int) -> str:
    """Show a listing and its moderation form."""
    listing = _get(listing_id)
    return _form(listing, forms.values_of(listing), {})


@blueprint.post("/listings/<id:listing_id>")
def decide(listing_id: int) -> AnyResponse | tuple[str, int]:
    """Save, publish or refuse a listing, unless it has changed since the form was shown."""
    decisions.lock(listing_id)
    listing = _get(listing_id)
    action = request.form.get("action", "")
    if action not in ("save", "publish", "reject"):
        raise BadRequest("The form has to say what to do.")
    values = {name: request.form.get(name, "") for name in forms.FIELDS}
    if request.form.get("state") != decisions.digest(listing):
        return _form(listing, values, {}, changed=True), 409
    content, errors = forms.load(values)
    reason = forms.load_reason(values, errors) if action == "reject" else ""
    if errors:
        return _form(listing, values, errors), 422
    decisions.edit(listing, content)
    decisions.remove_photos(listing, request.form.getlist("remove_photo"))
    if action == "publish":
        decisions.publish(listing)
    elif action == "reject":
        decisions.reject(listing, reason)
    db.session.commit()
    if action == "save":
        return redirect(url_for("moderation.show_listing", listing_id=listing.id, done=action), 303)
    return redirect(url_for("moderation.queue", done=action), 303)


@blueprint.get("/messages")
def messages() -> str:
    """Show the messages, newest first."""
    query = select(Message).order_by(Message.created_at.desc(), Message.id.desc())
    found, next_url = _page(query, "moderation.messages")
    return render_template("moderation/messages.html", messages=found, next_url=next_url)


@blueprint.post("/messages/<id:message_id>/delete")
def delete_message(message_id: int) -> AnyResponse:
    """Delete a message."""
    message = db.session.get(Message, message_id)
    # Another moderator may have deleted it already.
    if message:
        db.session.delete(message)
        decisions.record("removed a message")
        db.session.commit()
    return redirect(url_for("moderation.messages", done="remove"), 303)


@blueprint.get("/audit")
def audit() -> str:
    """Show the audit trail, newest first."""
    entries, next_url = _page(select(AuditEntry).order_by(AuditEntry.id.desc()), "moderation.audit")
    return render_template("moderation/audit.html", entries=entries, next_url=next_url)


def _get(listing_id: int) -> Listing:
    listing = db.session.get(Listing, listing_id)
    if listing is None:
        raise NotFound
    return listing


def _form(listing: Listing, values: dict[str, str], errors: dict[str, str], changed: bool = False) -> str:
    trail = select(AuditEntry).where(AuditEntry.listing_id == listing.id).order_by(AuditEntry.id.desc())
    return render_template(
        "moderation/listing.html",
        listing=listing,
        state=decisions.digest(listing),
        changed=changed,
        photos=listing.photos,
        values=values,
        errors=errors,
        categories=list(db.session.scalars(select(Category).order_by(Category.name))),
        audit=list(db.session.scalars(trail)),
    )


def _page(query: Any, endpoint: str, **arguments: str) -> tuple[list[Any], str | None]:
    """Return one page of a query's rows, and the URL of the next page, None if there is none."""
    text = request.args.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if number < 1:
        raise NotFound
    found = list(db.session.scalars(query.limit(PAGE + 1).offset((number - 1) * PAGE)))
    following = url_for(endpoint, page=number + 1, **arguments) if len(found) > PAGE else None
    return found[:PAGE], following
