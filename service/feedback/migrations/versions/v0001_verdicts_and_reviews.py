"""Makes the tables of verdicts, reviews and their changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOUBLE = sa.Float(53)


def upgrade() -> None:
    """Written out, and not taken from `tables`, which describe the newest state."""
    op.create_table(
        "verdicts",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("at", DOUBLE, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("image_index", sa.Integer, nullable=False),
        sa.Column("caller", sa.String(64)),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("score", DOUBLE, nullable=False),
        sa.Column("p_value", DOUBLE, nullable=False),
        sa.Column("threshold", DOUBLE, nullable=False),
        sa.Column("review_threshold", DOUBLE),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("decided_by", sa.String(128)),
        sa.Column("line", sa.String(128)),
        sa.Column("station", sa.String(128)),
        sa.Column("part_id", sa.String(128)),
        sa.Column("filename", sa.String(1024)),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("spot_check", sa.Boolean, nullable=False),
        sa.Column("spot_check_share", DOUBLE, nullable=False),
        sa.Column("picture_file", sa.String(128)),
        sa.Column("picture_type", sa.String(32)),
        sa.Column("picture_bytes", sa.BigInteger),
        sa.Column("picture_gone_at", DOUBLE),
        sa.Column("judged", sa.String(16), nullable=False, server_default=""),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "reviews",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("verdict_id", ROW_ID, sa.ForeignKey("verdicts.id"), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("defect_class", sa.String(64)),
        sa.Column("note", sa.String(1000)),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at", DOUBLE, nullable=False),
        sa.Column("withdrawn_at", DOUBLE),
        sa.Column("withdrawn_by", sa.String(64)),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "review_changes",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("verdict_id", ROW_ID, nullable=False),
        sa.Column("after_verdict", ROW_ID, nullable=False),
        sqlite_autoincrement=True,
    )
    _index("verdicts_by_product", "verdicts", ["product", "id"])
    _index("verdicts_by_time", "verdicts", ["at", "product", "station", "decision", "p_value"])
    _index("verdicts_by_part", "verdicts", ["part_id"])
    op.create_index(  # as each of the two writes the condition on a truth value
        "verdicts_waiting",
        "verdicts",
        ["product", "id"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )
    _index("verdicts_with_picture", "verdicts", ["at"], where="picture_file IS NOT NULL")
    _index("verdicts_judged", "verdicts", ["id"], where="judged <> ''")
    _index("reviews_of_verdict", "reviews", ["verdict_id"])
    _index("reviews_standing", "reviews", ["verdict_id", "by"], where="withdrawn_at IS NULL", unique=True)
    _index("review_changes_after", "review_changes", ["after_verdict"])


def downgrade() -> None:
    """Nothing is left."""
    for table in ("review_changes", "reviews", "verdicts"):
        op.drop_table(table)


def _index(name: str, table: str, columns: list[str], *, where: str | None = None, unique: bool = False) -> None:
    condition = sa.text(where) if where is not None else None
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
