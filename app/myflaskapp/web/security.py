"""Security of every response and every form: headers, and protection against cross-site requests."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from flask import Flask, Response, g, request
from werkzeug.exceptions import Forbidden

# nginx has its own for static pages: content_security_policy in the settings.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SESSION_COOKIE = "__Host-session"
# Replaces the session in the login form.
VISIT_COOKIE = "__Host-visit"
# Remains after a logout.
BROWSER_COOKIE = "__Host-browser"


def init_app(app: Flask) -> None:
    """Check all requests of `app` and add headers to all responses."""
    app.before_request(_refuse_other_sites)
    app.after_request(_set_headers)


def _refuse_other_sites() -> None:
    """Refuse cross-site requests, by headers of the browser that no page can change."""
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    # As browsers send it; Werkzeug's URLs have the decoded letters of an international name.
    own = f"{request.scheme}://{request.host}"
    if site not in ("same-origin", "none") or request.headers.get("Origin", own) != own:
        raise Forbidden("Forms of other sites are not taken.")


def _set_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if "new_visit" in g:
        set_cookie(response, VISIT_COOKIE, g.new_visit)
    return response


def csrf_token() -> str:
    """Return the CSRF token of this visitor's forms, derived from a cookie that no other site can read."""
    cookie = request.cookies.get(SESSION_COOKIE) or request.cookies.get(VISIT_COOKIE)
    if not cookie:
        if "new_visit" not in g:
            g.new_visit = secrets.token_urlsafe(32)
        cookie = g.new_visit
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_csrf_token() -> None:
    """Check the form that was sent.

    Raises:
        Forbidden: Its token is missing or not this visitor's.
    """
    if not hmac.compare_digest(request.form.get("csrf_token", "").encode(), csrf_token().encode()):
        raise Forbidden("The form was open for too long. Please load the page again.")


def set_cookie(response: Response, name: str, value: str, lasts: timedelta | None = None) -> None:
    """Set a cookie for this site only, over TLS, not readable by scripts; without a lifetime it ends with the browser."""
    response.set_cookie(name, value, max_age=lasts, secure=True, httponly=True, samesite="Lax", path="/")
