"""Alembic's environment."""

from alembic import context
from flask import current_app

db = current_app.extensions["migrate"].db
with db.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=db.metadatas[None])
    with context.begin_transaction():
        context.run_migrations()
