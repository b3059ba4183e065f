"""First tables: categories, listings, resources, messages.

MySQL commits each statement separately, so every step checks what exists: an interrupted run is completed by the next.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_table(
        "category",
        sa.Column("slug", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.UniqueConstraint("slug", name="uq_category_slug"),
    )
    _create_table(
        "listing",
        sa.Column("title", sa.String(120), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column(
            "category_id", sa.Integer, sa.ForeignKey("category.id", name="fk_listing_category_id"), nullable=False
        ),
        sa.Column("place", sa.String(80), nullable=False),
        sa.Column("price_cents", sa.Integer, nullable=True),
        sa.Column("contact_email", sa.String(254), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    _create_index("ix_listing_feed", "listing", ["status", "created_at", "id"])
    _create_index("ix_listing_category_feed", "listing", ["category_id", "status", "created_at", "id"])
    _create_index("ix_listing_place", "listing", ["status", "place"])
    _create_table(
        "resource",
        sa.Column("title", sa.String(120), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("section", sa.String(80), nullable=False),
    )
    _create_index("ix_resource_section", "resource", ["section"])
    _create_table(
        "message",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    _create_index("ix_message_created_at", "message", ["created_at"])


def downgrade() -> None:
    for table in ("message", "resource", "listing", "category"):
        op.drop_table(table, if_exists=True)


def _create_table(name: str, *columns: sa.schema.SchemaItem) -> None:
    number = sa.Column("id", sa.Integer, nullable=False)
    key = sa.PrimaryKeyConstraint("id", name=f"pk_{name}")
    op.create_table(name, number, *columns, key, mysql_charset="utf8mb4", if_not_exists=True)


def _create_index(name: str, table: str, columns: list[str]) -> None:
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    if not context.is_offline_mode() and name in {i["name"] for i in sa.inspect(op.get_bind()).get_indexes(table)}:
        return
    op.create_index(name, table, columns)
