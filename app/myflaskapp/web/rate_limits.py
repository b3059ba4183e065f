"""Rate limits by address: counted in the database, shared by all workers and hosts."""

import hashlib
import ipaddress
import math
import time
from http import HTTPStatus
from typing import ClassVar

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter
from limits.storage import Storage
from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from ..database.engine import db, retry_deadlocks
from ..database.models import RateLimit
from ..moderation import moderators

PHOTOS_PER_WRITE = 3
# Failed logins of one address or known browser; and of all unknown browsers for one name.
LOGINS = "10 per 15 minutes"
LOGINS_FOR_A_NAME = "60 per hour"
# The IPv6 prefix of one customer of a provider.
_IPV6_PREFIX = 64


class DatabaseStorage(Storage):
    """Counters in the table `rate_limit`. A row has a digest of the address, and expires with its window."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """The exceptions of this storage."""
        return SQLAlchemyError

    @retry_deadlocks
    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the current window, or to a new one of `expiry` seconds; return the sum."""
        digest, moment = _digest(key), int(time.time())
        over = RateLimit.expires <= moment
        more = (
            update(RateLimit)
            .where(RateLimit.key == digest)
            # In this order, because MySQL assigns one column after the other.
            .ordered_values(
                (RateLimit.hits, case((over, amount), else_=RateLimit.hits + amount)),
                (RateLimit.expires, case((over, moment + expiry), else_=RateLimit.expires)),
            )
        )
        first = insert(RateLimit).values(key=digest, hits=0, expires=moment + expiry)
        first = first.prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")
        total = select(RateLimit.hits).where(RateLimit.key == digest)

        def count() -> int | None:
            with db.engine.begin() as connection:
                return connection.scalar(total) if connection.execute(more).rowcount else None

        hits = count()
        if hits is None:
            # In a separate transaction, because two simultaneous first requests would block each other.
            with db.engine.begin() as connection:
                connection.execute(first)
            hits = count()
        return hits or amount

    def get(self, key: str) -> int:
        """Return the sum of the current window, 0 without one."""
        with db.engine.connect() as connection:
            open_now = (RateLimit.key == _digest(key), RateLimit.expires > int(time.time()))
            return connection.scalar(select(RateLimit.hits).where(*open_now)) or 0

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970."""
        with db.engine.connect() as connection:
            return connection.scalar(select(RateLimit.expires).where(RateLimit.key == _digest(key))) or time.time()

    def check(self) -> bool:
        """Return whether the table can be read."""
        self.get("")
        return True

    def reset(self) -> int:
        """Reset all counters and return their number."""
        with db.engine.begin() as connection:
            return connection.execute(delete(RateLimit)).rowcount

    def clear(self, key: str) -> None:
        """Reset one counter."""
        with db.engine.begin() as connection:
            connection.execute(delete(RateLimit).where(RateLimit.key == _digest(key)))


def visitor() -> str:
    """Return the key of the client: its address, or the network of an IPv6 address."""
    address = ipaddress.ip_address(request.remote_addr or "::")
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


limiter = Limiter(visitor, storage_uri="database://", strategy="fixed-window")
writes = limiter.shared_limit(lambda: f"{current_app.config['WRITES_PER_MINUTE']} per minute", scope="writes")
photos = limiter.limit(lambda: f"{current_app.config['WRITES_PER_MINUTE'] * PHOTOS_PER_WRITE} per minute")


def _has_failed(response: Response) -> bool:
    return response.status_code == HTTPStatus.FORBIDDEN


def _claimed_name() -> str:
    """Return the user name of a login request."""
    return request.form.get("name", "").strip()[:100]


def _known_browser() -> str | None:
    """Return the key of a browser that this moderator has logged in from, which has its own counter."""
    return moderators.known_browser(_claimed_name())


logins = limiter.limit(
    LOGINS, key_func=lambda: _known_browser() or visitor(), methods=["POST"], deduct_when=_has_failed
)
logins_for_a_name = limiter.limit(
    LOGINS_FOR_A_NAME,
    key_func=_claimed_name,
    methods=["POST"],
    deduct_when=_has_failed,
    exempt_when=lambda: _known_browser() is not None,
)


def init_app(app: Flask, writes_per_minute: int) -> None:
    """Add the rate limits to `app`."""
    app.config["WRITES_PER_MINUTE"] = writes_per_minute
    limiter.init_app(app)


def retry_after() -> int:
    """Return the seconds after which a limited request may be retried."""
    broken = limiter.current_limit
    # `reset_at` is the second after the window's last.
    return max(1, math.ceil(broken.reset_at - 1 - time.time())) if broken else 60


def remove_past() -> int:
    """Remove expired counters and return their number; the caller commits."""
    return db.session.execute(delete(RateLimit).where(RateLimit.expires <= int(time.time()))).rowcount


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
