"""What people's judgements say of the decisions: false rejects, misses and detection rate by class of defect.

Of REVIEW and NG every part waits for a person, of OK only the spot checks do. So each missed defect that a spot check
found stands for 1 / share of its kind: `misses_estimated` is their sum, which is unbiased where all that waited was
judged (Horvitz and Thompson 1952). Misses that somebody found by other ways are counted and estimate nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from service.feedback.counts import Parts, Summary
from service.feedback.rows import VerdictFilter
from service.feedback.tables import REVIEWS, VERDICTS
from service.feedback.verdicts import conditions


def summary(connection: Connection, wanted: VerdictFilter) -> Summary:
    """The judgements of these verdicts. A part that people disagree on is of no kind."""
    columns = VERDICTS.c
    found = Summary()
    judged = select(columns.id, columns.judged, columns.decision, columns.spot_check, columns.spot_check_share)
    classes = _classes(connection, wanted)
    for row in connection.execute(judged.where(columns.judged.in_(["good", "defect"]), *conditions(wanted))):
        parts = found.good
        if row.judged == "defect":
            parts = found.defects.setdefault(classes.get(row.id), Parts())
        parts.add(row.decision, row.spot_check, row.spot_check_share)
    found.disagreed = _count(connection, wanted, columns.judged == "disagreed")
    unsure = select(REVIEWS.c.verdict_id).where(REVIEWS.c.withdrawn_at.is_(None), REVIEWS.c.label == "unsure")
    found.unsure = _count(connection, wanted, (columns.judged == "") & columns.id.in_(unsure))
    return found


def _classes(connection: Connection, wanted: VerdictFilter) -> dict[int, str]:
    """The class of each defect: what was said of it last."""
    joined = select(REVIEWS.c.verdict_id, REVIEWS.c.defect_class).join(VERDICTS, VERDICTS.c.id == REVIEWS.c.verdict_id)
    stands = (REVIEWS.c.withdrawn_at.is_(None), REVIEWS.c.defect_class.is_not(None))
    rows = connection.execute(joined.where(*stands, *conditions(wanted)).order_by(REVIEWS.c.id))
    return {row.verdict_id: row.defect_class for row in rows}


def _count(connection: Connection, wanted: VerdictFilter, condition: object) -> int:
    chosen = select(func.count()).select_from(VERDICTS).where(condition, *conditions(wanted))  # type: ignore[arg-type]
    return int(connection.scalar(chosen) or 0)
