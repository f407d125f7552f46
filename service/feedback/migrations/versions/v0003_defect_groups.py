"""Makes the tables of recurring defects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOUBLE = sa.Float(53)


def upgrade() -> None:
    """Written out, and not taken from `tables`, which describe the newest state."""
    op.create_table(
        "defect_groups",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("space", sa.String(128), nullable=False),
        sa.Column("made_at", DOUBLE, nullable=False),
        sa.Column("reach", DOUBLE, nullable=False),
        sa.Column("total", sa.LargeBinary, nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("name", sa.String(64)),
        sa.Column("named_by", sa.String(64)),
        sa.Column("named_at", DOUBLE),
        sqlite_autoincrement=True,
    )
    op.create_index("defect_groups_by_product", "defect_groups", ["product", "space"])
    verdict = sa.ForeignKey("verdicts.id", ondelete="CASCADE")
    op.create_table(
        "defect_regions",
        sa.Column("verdict_id", ROW_ID, verdict, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("x", sa.Integer),
        sa.Column("y", sa.Integer),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("space", sa.String(128)),
        sa.Column("descriptor", sa.LargeBinary),
        sa.Column("group_id", ROW_ID, sa.ForeignKey("defect_groups.id")),
        sa.Column("distance", DOUBLE),
    )
    op.create_index("defect_regions_by_group", "defect_regions", ["group_id", "verdict_id"])


def downgrade() -> None:
    """The verdicts and reviews stay."""
    op.drop_table("defect_regions")
    op.drop_table("defect_groups")
