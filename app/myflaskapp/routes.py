"""Routes other than the API: a listing's page, its photos, and the static files when no web server serves them."""

from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Response, current_app, redirect, render_template, request, send_from_directory, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from .database.models import CENTS, widths
from .listings import search, submissions
from .media import photos
from .moderation import moderators

CLIENT_DIRECTORY = Path(__file__).resolve().parent.parent / "client"
# A photo never changes; unpublished ones are for moderators only.
KEEP = "public, max-age=31536000, immutable"

blueprint = Blueprint("routes", __name__)


@blueprint.get("/listings/<id:listing_id>")
def show_listing(listing_id: int) -> Response:
    """Return the page of one listing."""
    listing = search.get_published(listing_id)
    if listing is None:
        raise NotFound
    page_url = url_for("routes.show_listing", listing_id=listing.id, _external=True)
    image_url = None
    if listing.photos:
        image_url = request.host_url.rstrip("/") + listing.photos[0].sizes[-1].url
    page = render_template("listing.html", listing=listing, page_url=page_url, image_url=image_url)
    response = Response(page, mimetype="text/html")
    # The page of a moderator has a bar that others do not see.
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    return response.make_conditional(request)


@blueprint.get("/submissions/<receipt>")
def show_submission(receipt: str) -> Response:
    """Show the sender of a listing its status."""
    listing = submissions.find_by_receipt(receipt)
    if listing is None:
        raise NotFound
    page = render_template("submission.html", listing=listing, status=listing.status, reason=listing.reason)
    response = Response(page, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    # Only the sender knows this URL: it is not sent to other sites as a referrer.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


@blueprint.get("/media/<name>-<int:width>.webp")
def show_photo(name: str, width: int) -> Response:
    """Return one version of a photo."""
    found = photos.find(name)
    if found is None or not (found[1] or moderators.current_name()):
        raise NotFound
    photo, public = found
    if width not in widths(photo.width):
        raise NotFound
    response = Response(mimetype=photos.KIND)
    response.set_etag(f"{photo.name}-{width}")
    response.headers["Cache-Control"] = KEEP if public else "private, no-store"
    if response.make_conditional(request).status_code != 304:
        content = photos.read(photo, width)
        if content is None:
            raise NotFound
        response.set_data(content)
    return response


@blueprint.app_template_filter("dollars")
def dollars(cents: int | None) -> str:
    """Format an amount of cents: `$1,250`, `$4.50`, "Free", or nothing when there is no price."""
    if cents is None:
        return ""
    if cents == 0:
        return "Free"
    return f"${cents // CENTS:,}" + (f".{cents % CENTS:02}" if cents % CENTS else "")


@blueprint.app_template_filter("day")
def day(moment: datetime) -> str:
    """Format a date: `November 3, 2026`."""
    return f"{moment:%B} {moment.day}, {moment.year}"


@blueprint.app_template_filter("mailto")
def mailto(address: str) -> str:
    """Return an e-mail address as a link (RFC 6068)."""
    return "mailto:" + quote(address, safe="@")


@blueprint.get("/listings")
def listings_page() -> AnyResponse:
    """Redirect the shortened URL of a listing to all listings."""
    return redirect("/listings.html")


@blueprint.get("/favicon.ico")
def favicon() -> Response:
    """Serve the icon that browsers request automatically."""
    return current_app.send_static_file("favicon.ico")


@blueprint.get("/")
def home() -> Response:
    """Serve the home page."""
    return client_file("index.html")


@blueprint.get("/<name>")
@blueprint.get("/<any(art, sample, scripts):directory>/<name>")
def client_file(name: str, directory: str = ".") -> Response:
    """Serve the client. A web server in front does this itself and forwards only what it does not have."""
    return send_from_directory(CLIENT_DIRECTORY / directory, name)
