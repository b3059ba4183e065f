"""The same message is kept once.

Each step asks what is there, as in 0002; the release before this one leaves the column NULL.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE, COLUMN, INDEX = "message", "fingerprint", "ix_message_fingerprint"


def upgrade() -> None:
    columns, indexes = _found()
    if COLUMN not in columns:
        op.add_column(TABLE, sa.Column(COLUMN, sa.String(64), nullable=True))
    if INDEX not in indexes:
        op.create_index(INDEX, TABLE, [COLUMN], unique=True)


def downgrade() -> None:
    columns, indexes = _found()
    if context.is_offline_mode() or INDEX in indexes:
        op.drop_index(INDEX, TABLE)
    if context.is_offline_mode() or COLUMN in columns:
        op.drop_column(TABLE, COLUMN)


def _found() -> tuple[set[str], set[str]]:
    """Return the columns and indexes of the table; none when the SQL is only printed."""
    if context.is_offline_mode():
        return set(), set()
    inspector = sa.inspect(op.get_bind())
    columns, indexes = inspector.get_columns(TABLE), inspector.get_indexes(TABLE)
    return {column["name"] for column in columns}, {str(index["name"]) for index in indexes}
