"""The tables of the feedback store, as the newest migration leaves them.

`verdicts` has a row for each verdict. `judged` and `waiting` follow from its reviews and its picture, and are written
with them in one transaction, so that queues and statistics need no join. `review_changes` has a row for each judgement
and each withdrawal: `after_verdict` is the newest verdict at that time, by which a page that was away finds what it
has missed. Times are seconds since 1970 (UTC).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

METADATA = MetaData()
ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself in INTEGER columns only
DOUBLE = Float(53)

VERDICTS = Table(
    "verdicts",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("at", DOUBLE, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("image_index", Integer, nullable=False),
    Column("caller", String(64)),
    Column("product", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("method", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("score", DOUBLE, nullable=False),
    Column("p_value", DOUBLE, nullable=False),
    Column("threshold", DOUBLE, nullable=False),
    Column("review_threshold", DOUBLE),
    Column("decision", String(8), nullable=False),
    Column("decided_by", String(128)),
    Column("line", String(128)),
    Column("station", String(128)),
    Column("part_id", String(128)),
    Column("filename", String(1024)),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("spot_check", Boolean, nullable=False),
    Column("spot_check_share", DOUBLE, nullable=False),
    Column("picture_file", String(128)),  # from the folder of pictures; null where there is none, or none any more
    Column("picture_type", String(32)),
    Column("picture_bytes", BigInteger),
    Column("picture_gone_at", DOUBLE),
    Column("judged", String(16), nullable=False, server_default=""),  # good, defect, disagreed; empty where nobody has
    Column("waiting", Boolean, nullable=False),  # in the queue for review
    sqlite_autoincrement=True,  # an id is never given a second time
)
IS_WAITING_SQLITE, IS_WAITING_POSTGRESQL = text("waiting = 1"), text("waiting")  # as each writes the condition
HAS_PICTURE = text("picture_file IS NOT NULL")
Index("verdicts_by_product", VERDICTS.c.product, VERDICTS.c.id)
Index(  # with all that statistics read, so that they need not look the rows up
    "verdicts_by_time",
    *(VERDICTS.c.at, VERDICTS.c.product, VERDICTS.c.station, VERDICTS.c.decision, VERDICTS.c.p_value),
)
Index("verdicts_by_part", VERDICTS.c.part_id)
Index(
    "verdicts_waiting",
    VERDICTS.c.product,
    VERDICTS.c.id,
    sqlite_where=IS_WAITING_SQLITE,
    postgresql_where=IS_WAITING_POSTGRESQL,
)
Index("verdicts_with_picture", VERDICTS.c.at, sqlite_where=HAS_PICTURE, postgresql_where=HAS_PICTURE)
IS_JUDGED = text("judged <> ''")
Index("verdicts_judged", VERDICTS.c.id, sqlite_where=IS_JUDGED, postgresql_where=IS_JUDGED)

REVIEWS = Table(
    "reviews",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("verdict_id", ROW_ID, ForeignKey("verdicts.id"), nullable=False),
    Column("label", String(16), nullable=False),
    Column("defect_class", String(64)),
    Column("note", String(1000)),
    Column("by", String(64), nullable=False),
    Column("at", DOUBLE, nullable=False),
    Column("withdrawn_at", DOUBLE),
    Column("withdrawn_by", String(64)),
    sqlite_autoincrement=True,
)
STANDS = text("withdrawn_at IS NULL")
Index("reviews_of_verdict", REVIEWS.c.verdict_id)
Index(  # of each person one review of a part stands
    "reviews_standing",
    REVIEWS.c.verdict_id,
    REVIEWS.c.by,
    unique=True,
    sqlite_where=STANDS,
    postgresql_where=STANDS,
)

REVIEW_CHANGES = Table(
    "review_changes",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("verdict_id", ROW_ID, nullable=False),
    Column("after_verdict", ROW_ID, nullable=False),
    sqlite_autoincrement=True,
)
Index("review_changes_after", REVIEW_CHANGES.c.after_verdict)

RECALIBRATIONS = Table(
    "recalibrations",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("product", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # running, ready, refused, applied, failed
    Column("at", DOUBLE, nullable=False),
    Column("by", String(64), nullable=False),
    Column("since", DOUBLE),
    Column("until", DOUBLE),
    Column("from_version", String(64), nullable=False),
    Column("from_hash", String(64), nullable=False),
    Column("to_version", String(64)),
    Column("reason", Text),
    Column("claimed_at", DOUBLE),  # when somebody began to apply it
    Column("applied_at", DOUBLE),
    Column("applied_by", String(64)),
    Column("result", Text),  # JSON, as service.feedback.recalibration.outcome writes it
    Column("content", Text),  # likewise
    sqlite_autoincrement=True,
)
IS_RUNNING = text("state = 'running'")
Index("recalibrations_by_product", RECALIBRATIONS.c.product, RECALIBRATIONS.c.id)
Index(  # of each product one runs
    "recalibrations_running",
    RECALIBRATIONS.c.product,
    unique=True,
    sqlite_where=IS_RUNNING,
    postgresql_where=IS_RUNNING,
)

DEFECT_GROUPS = Table(
    "defect_groups",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("product", String(64), nullable=False),
    Column("space", String(128), nullable=False),  # of its descriptors: those of two spaces cannot be compared
    Column("made_at", DOUBLE, nullable=False),
    Column("reach", DOUBLE, nullable=False),  # what is farther from its centre does not belong to it
    Column("total", LargeBinary, nullable=False),  # sum of its members' descriptors, float32 little-endian
    Column("members", Integer, nullable=False),
    Column("name", String(64)),
    Column("named_by", String(64)),
    Column("named_at", DOUBLE),
    sqlite_autoincrement=True,
)
Index("defect_groups_by_product", DEFECT_GROUPS.c.product, DEFECT_GROUPS.c.space)

DEFECT_REGIONS = Table(  # the strongest region of a verdict's picture; a row also where none could be had
    "defect_regions",
    METADATA,
    Column("verdict_id", ROW_ID, ForeignKey("verdicts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),  # described, no_region, version_gone, failed
    Column("x", Integer),
    Column("y", Integer),
    Column("width", Integer),
    Column("height", Integer),
    Column("space", String(128)),
    Column("descriptor", LargeBinary),
    Column("group_id", ROW_ID, ForeignKey("defect_groups.id")),
    Column("distance", DOUBLE),  # from the group's centre when it was put there
)
Index("defect_regions_by_group", DEFECT_REGIONS.c.group_id, DEFECT_REGIONS.c.verdict_id)
