"""What Alembic runs: migrations of the app's database, over the app's own engine."""

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import event

migrate = current_app.extensions["migrate"]


def run_offline() -> None:
    """Print the SQL for the configured kind of database instead of running it."""
    dialect = migrate.db.engine.dialect.name
    context.configure(dialect_name=dialect, target_metadata=migrate.db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def wait_long(_dialect: object, _record: object, _args: object, params: dict[str, Any]) -> None:
    """Take the app's time limits off a connection: a large table may be altered for minutes."""
    params["read_timeout"] = params["write_timeout"] = None


def is_known(item: Any, _name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Return whether this kind of database has an object: only MySQL has the full-text index."""
    full_text = kind == "index" and item.dialect_options["mysql"]["prefix"] == "FULLTEXT"
    return not full_text or migrate.db.engine.dialect.name == "mysql"


def run_online() -> None:
    """Run the migrations."""
    if migrate.db.engine.dialect.name == "mysql":
        event.listen(migrate.db.engine, "do_connect", wait_long, insert=True)
    with migrate.db.engine.connect() as connection:
        options = {**migrate.configure_args, "include_object": is_known}
        context.configure(connection=connection, target_metadata=migrate.db.metadata, **options)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
