"""What Alembic runs: migrations of the app's database, over the app's own engine."""

from alembic import context
from flask import current_app

migrate = current_app.extensions["migrate"]


def run_offline() -> None:
    """Print the SQL for the configured kind of database instead of running it."""
    dialect = migrate.db.engine.dialect.name
    context.configure(dialect_name=dialect, target_metadata=migrate.db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations."""
    with migrate.db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=migrate.db.metadata, **migrate.configure_args)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
