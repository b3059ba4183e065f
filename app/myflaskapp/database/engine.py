"""The database: engine options, and connections opened with decrypted credentials."""

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pymysql
from config import Config
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import DeclarativeBase

from .credentials import CredentialsError, CredentialStore

ACCESS_DENIED = 1045
DEADLOCK = 1213
ATTEMPTS = 5

P = ParamSpec("P")
R = TypeVar("R")
# Errors of an unavailable database.
UNAVAILABLE = (OperationalError, InterfaceError, DisconnectionError, TimeoutError, CredentialsError)

log = logging.getLogger(__name__)


def describe(error: Exception) -> dict[str, str | int]:
    """Return the reason why the database is unavailable as log fields: types and numbers, never a text that may contain a user name."""
    if isinstance(error, CredentialsError):
        return {"reason": str(error)}
    cause = getattr(error, "orig", None) or error
    fields: dict[str, str | int] = {"reason": type(cause).__name__}
    if cause.args and isinstance(cause.args[0], int):
        fields["code"] = cause.args[0]
    # PyMySQL keeps the error of the network or of TLS next to its own one, or raises its own one while it handles that.
    below = getattr(cause, "original_exception", None) or cause.__context__
    if isinstance(below, OSError):
        fields["cause"] = getattr(below, "verify_message", None) or below.strerror or type(below).__name__
    return fields


class Base(DeclarativeBase):
    """The same constraint names on every database, for migrations."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)


def init_app(app: Flask, settings: Config) -> None:
    """Configure the engine. Nothing is decrypted or connected before the first query."""
    url = settings.database_url or "mysql+pymysql://"
    # Parameters contain user input, so they stay out of error messages and logs.
    options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True}
    if url.startswith("mysql"):
        # Seconds. A quick 503 is better than a blocked worker.
        options |= {"pool_recycle": 600, "pool_timeout": 3, "connect_args": _connect_args(settings)}
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    # Runs before Flask-SQLAlchemy's own function: the last one added runs first.
    app.teardown_appcontext(end_transaction)
    if settings.credentials:
        store = CredentialStore(settings.credentials)
        with app.app_context():
            event.listen(db.engine, "do_connect", _connector(store))


def end_transaction(_error: BaseException | None = None) -> None:
    """Roll back an open transaction. The response stays, even if its connection was lost."""
    try:
        db.session.rollback()
    except UNAVAILABLE as error:
        log.warning("connection lost after the response", extra={"fields": describe(error)})


def retry_deadlocks(transaction: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that is a whole transaction: it runs again when MySQL rolled it back to end a deadlock."""

    @functools.wraps(transaction)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(ATTEMPTS - 1):
            try:
                return transaction(*args, **kwargs)
            except OperationalError as error:
                if error.orig is None or error.orig.args[:1] != (DEADLOCK,):
                    raise
                db.session.rollback()
        return transaction(*args, **kwargs)

    return run


def _connect_args(settings: Config) -> dict[str, Any]:
    args: dict[str, Any] = {"charset": "utf8mb4", "connect_timeout": 3, "read_timeout": 5, "write_timeout": 5}
    if settings.ca_file:
        args |= {"ssl_ca": str(settings.ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True}
    return args


def _connector(store: CredentialStore) -> Any:
    """Return a `do_connect` listener that adds the credentials to the arguments of one connection attempt."""

    def connect(dialect: Dialect, _record: Any, _args: Any, params: dict[str, Any]) -> DBAPIConnection:
        credentials = store.get()
        try:
            return dialect.connect(**params, **_login(credentials))
        except pymysql.err.OperationalError as error:
            if not error.args or error.args[0] != ACCESS_DENIED:
                raise
        # The credentials may have been rotated: the file has the current ones.
        log.warning("the database rejected the credentials; decrypting them again")
        return dialect.connect(**params, **_login(store.renew(credentials)))

    def _login(credentials: Any) -> dict[str, Any]:
        return {
            "host": credentials.host,
            "port": credentials.port,
            "user": credentials.username,
            "password": credentials.password,
            "database": credentials.dbname,
        }

    return connect
