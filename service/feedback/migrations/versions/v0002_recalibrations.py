"""Makes the table of recalibrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOUBLE = sa.Float(53)


def upgrade() -> None:
    """Written out, and not taken from `tables`, which describe the newest state."""
    op.create_table(
        "recalibrations",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", DOUBLE, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("since", DOUBLE),
        sa.Column("until", DOUBLE),
        sa.Column("from_version", sa.String(64), nullable=False),
        sa.Column("from_hash", sa.String(64), nullable=False),
        sa.Column("to_version", sa.String(64)),
        sa.Column("reason", sa.Text),
        sa.Column("claimed_at", DOUBLE),
        sa.Column("applied_at", DOUBLE),
        sa.Column("applied_by", sa.String(64)),
        sa.Column("result", sa.Text),
        sa.Column("content", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("recalibrations_by_product", "recalibrations", ["product", "id"])
    running = sa.text("state = 'running'")
    op.create_index(
        "recalibrations_running",
        "recalibrations",
        ["product"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )


def downgrade() -> None:
    """The verdicts and reviews stay."""
    op.drop_table("recalibrations")
