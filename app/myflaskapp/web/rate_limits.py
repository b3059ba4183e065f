"""How often one address may send something: counted in the database, so that all workers and hosts count together."""

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

from ..database.engine import db
from ..database.models import RateLimit
from ..moderation import moderators

PHOTOS_PER_WRITE = 3
# Failed ones of one address or known browser; and of all strangers for one name.
LOGINS = "10 per 15 minutes"
LOGINS_FOR_A_NAME = "60 per hour"
# What one household or provider's customer has of IPv6.
_IPV6_PREFIX = 64


class DatabaseStorage(Storage):
    """Counts in the table `rate_limit`. A row holds a digest of the address, and goes when its window is over."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage raises when it can't count."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` more in the window that is open, or in a new one of `expiry` seconds; return the sum."""
        digest, moment = _digest(key), int(time.time())
        over = RateLimit.expires <= moment
        more = (
            update(RateLimit)
            .where(RateLimit.key == digest)
            # In this order: MySQL sets one column after the other.
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
            # In a transaction of its own: two first visits at once would wait for each other.
            with db.engine.begin() as connection:
                connection.execute(first)
            hits = count()
        return hits or amount

    def get(self, key: str) -> int:
        """Return the sum in the window that is open, 0 when none is."""
        with db.engine.connect() as connection:
            open_now = (RateLimit.key == _digest(key), RateLimit.expires > int(time.time()))
            return connection.scalar(select(RateLimit.hits).where(*open_now)) or 0

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970."""
        with db.engine.connect() as connection:
            return connection.scalar(select(RateLimit.expires).where(RateLimit.key == _digest(key))) or time.time()

    def check(self) -> bool:
        """Tell whether the table can be read."""
        self.get("")
        return True

    def reset(self) -> int:
        """Forget all counts and return how many there were."""
        with db.engine.begin() as connection:
            return connection.execute(delete(RateLimit)).rowcount

    def clear(self, key: str) -> None:
        """Forget one count."""
        with db.engine.begin() as connection:
            connection.execute(delete(RateLimit).where(RateLimit.key == _digest(key)))


def visitor() -> str:
    """Return what stands for whoever asks: the address; of an IPv6 address the network."""
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
    """Return the name that somebody wants to log in with."""
    return request.form.get("name", "").strip()[:100]


def _known_browser() -> str | None:
    """Return what stands for a browser that this moderator has logged in from: it is counted apart from all strangers."""
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
    """Limit what `app` takes."""
    app.config["WRITES_PER_MINUTE"] = writes_per_minute
    limiter.init_app(app)


def retry_after() -> int:
    """Return after how many seconds a request that broke a limit may come again."""
    broken = limiter.current_limit
    # `reset_at` is the second after the window's last.
    return max(1, math.ceil(broken.reset_at - 1 - time.time())) if broken else 60


def remove_past() -> int:
    """Remove the counts whose window is over and return their number; the caller commits."""
    return db.session.execute(delete(RateLimit).where(RateLimit.expires <= int(time.time()))).rowcount


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
