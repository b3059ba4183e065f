"""Photos, moderation and limits; the limits on texts are the database's too.

MySQL commits each statement separately, so every step checks what exists: an interrupted run is completed by the next.
The release before this one goes on working: what is new has a default or may be NULL.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_listing_newest": ["status", "published_at", "id"],
    "ix_listing_category_newest": ["category_id", "status", "published_at", "id"],
    "ix_listing_price": ["status", "price_cents", "id"],
    "ix_listing_category_price": ["category_id", "status", "price_cents", "id"],
    "ix_listing_price_order": ["status", "price_order", "id"],
    "ix_listing_category_price_order": ["category_id", "status", "price_order", "id"],
    "ix_listing_place_newest": ["status", "place", "published_at", "id"],
}
REPLACED_INDEXES = {
    "ix_listing_category_feed": ["category_id", "status", "created_at", "id"],
    "ix_listing_place": ["status", "place"],
}
TEXT_INDEX = "ix_listing_text"
UNIQUE = ("receipt", "fingerprint")
LENGTHS = {
    "listing": {"title": 120, "description": 4000, "place": 80, "contact_email": 254},
    "message": {"name": 80, "email": 254, "body": 4000},
}


def upgrade() -> None:
    _add_columns(*_plain_columns())
    op.execute("UPDATE listing SET published_at = created_at WHERE status = 'published' AND published_at IS NULL")
    _add_constraints()
    # The last: SQLite adds constraints by copying the table, and this column can't be copied.
    _add_columns(_price_order())
    for name, columns in INDEXES.items():
        _create_index(name, "listing", columns)
    if _is_mysql():
        _create_index(TEXT_INDEX, "listing", ["title", "description"], mysql_prefix="FULLTEXT")
    for name in REPLACED_INDEXES:
        _drop_index(name, "listing")
    _create_tables()


def _create_tables() -> None:
    _create_table(
        "photo",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("listing_id", sa.Integer, sa.ForeignKey("listing.id", name="fk_photo_listing_id"), nullable=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_photo"),
        sa.UniqueConstraint("name", name="uq_photo_name"),
    )
    _create_index("ix_photo_listing_id", "photo", ["listing_id"])
    _create_index("ix_photo_created_at", "photo", ["created_at"])
    _create_table(
        "moderator",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moderator"),
        sa.UniqueConstraint("name", name="uq_moderator_name"),
    )
    moderator = sa.ForeignKey("moderator.id", name="fk_session_moderator_id", ondelete="CASCADE")
    _create_table(
        "session",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("moderator_id", sa.Integer, moderator, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_session"),
    )
    _create_index("ix_session_expires_at", "session", ["expires_at"])
    listing = sa.ForeignKey("listing.id", name="fk_audit_entry_listing_id")
    _create_table(
        "audit_entry",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("moderator", sa.String(40), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("listing_id", sa.Integer, listing, nullable=True),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    _create_index("ix_audit_entry_listing_id", "audit_entry", ["listing_id"])
    _create_table(
        "rate_limit",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("hits", sa.Integer, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limit"),
    )
    _create_index("ix_rate_limit_expires", "rate_limit", ["expires"])


def downgrade() -> None:
    for table in ("rate_limit", "audit_entry", "session", "moderator", "photo"):
        op.drop_table(table, if_exists=True)
    # Before the others go: MySQL wants an index that begins with category_id at any time.
    for name, columns in REPLACED_INDEXES.items():
        _create_index(name, "listing", columns)
    for name in (TEXT_INDEX, *INDEXES):
        _drop_index(name, "listing")
    _drop_columns(_price_order())
    _drop_constraints()
    _drop_columns(*_plain_columns())


def _plain_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("reason", sa.String(500), nullable=False, server_default=""),
        sa.Column("receipt", sa.String(32), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("published_at", sa.DateTime, nullable=True),
        sa.Column("decided_at", sa.DateTime, nullable=True),
    ]


def _price_order() -> sa.Column[Any]:
    """Return the column for the order from the lowest price: what has none is at the end."""
    return sa.Column("price_order", sa.Integer, sa.Computed("coalesce(price_cents, 2147483647)"), nullable=False)


def _add_columns(*columns: sa.Column[Any]) -> None:
    for column in columns:
        if column.name not in _columns("listing"):
            op.add_column("listing", column)


def _drop_columns(*columns: sa.Column[Any]) -> None:
    for column in columns:
        if context.is_offline_mode() or column.name in _columns("listing"):
            op.drop_column("listing", column.name)


def _add_constraints() -> None:
    for table in LENGTHS:
        known = _constraints(table)
        with op.batch_alter_table(table) as batch:
            for name, condition in _checks(table).items():
                if f"ck_{table}_{name}" not in known:
                    batch.create_check_constraint(op.f(f"ck_{table}_{name}"), condition)
            for column in UNIQUE if table == "listing" else ():
                if f"uq_{table}_{column}" not in known:
                    batch.create_unique_constraint(f"uq_{table}_{column}", [column])


def _drop_constraints() -> None:
    for table in LENGTHS:
        known = _constraints(table)
        with op.batch_alter_table(table) as batch:
            for name in _checks(table):
                if context.is_offline_mode() or f"ck_{table}_{name}" in known:
                    batch.drop_constraint(op.f(f"ck_{table}_{name}"), type_="check")
            for column in UNIQUE if table == "listing" else ():
                if context.is_offline_mode() or f"uq_{table}_{column}" in known:
                    batch.drop_constraint(f"uq_{table}_{column}", type_="unique")


def _checks(table: str) -> dict[str, sa.ColumnElement[bool]]:
    """Return the conditions on a table's rows."""
    checks: dict[str, sa.ColumnElement[bool]] = {
        f"{name}_length": sa.func.char_length(sa.column(name)).between(1, most) for name, most in LENGTHS[table].items()
    }
    if table == "listing":
        checks["price_cents_range"] = sa.column("price_cents").between(0, 1_000_000_000)
        checks["status_known"] = sa.column("status").in_(["pending", "published", "rejected"])
    return checks


def _is_mysql() -> bool:
    return op.get_context().dialect.name == "mysql"


def _inspect() -> sa.Inspector | None:
    """Return what tells of the tables that are there; None when the SQL is only printed."""
    return None if context.is_offline_mode() else sa.inspect(op.get_bind())


def _columns(table: str) -> set[str]:
    inspector = _inspect()
    return {column["name"] for column in inspector.get_columns(table)} if inspector else set()


def _constraints(table: str) -> set[str]:
    inspector = _inspect()
    if not inspector:
        return set()
    found = [*inspector.get_check_constraints(table), *inspector.get_unique_constraints(table)]
    return {str(constraint["name"]) for constraint in found}


def _indexes(table: str) -> set[str]:
    inspector = _inspect()
    return {str(index["name"]) for index in inspector.get_indexes(table)} if inspector else set()


def _create_table(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns, mysql_charset="utf8mb4", if_not_exists=True)


def _create_index(name: str, table: str, columns: list[str], **options: str) -> None:
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    if name not in _indexes(table):
        op.create_index(name, table, columns, **options)


def _drop_index(name: str, table: str) -> None:
    if context.is_offline_mode() or name in _indexes(table):
        op.drop_index(name, table)
