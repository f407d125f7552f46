"""Reads the parts of a window from the feedback store: all that one artifact has judged, and what people said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from service.feedback.recalibration.parts import Part
from service.feedback.tables import REVIEWS, VERDICTS

MOST_PARTS = 50_000  # the newest of a window; more would only cost time
MOST_PICTURES = 100


@dataclass(frozen=True)
class Window:
    """Parts in the order of time; `others` were judged in the same time by other artifacts of the product."""

    parts: Sequence[Part]
    others: int


@dataclass(frozen=True)
class KeptPicture:
    """A kept picture by its name in the folder of pictures."""

    file: str
    size: int


def read_window(
    connection: Connection, product: str, artifact_hash: str, since: float | None, until: float | None
) -> Window:
    """What the artifact has judged from `since` on and before `until` (seconds since 1970; None is no bound).

    Verdicts that nobody has judged leave the store by age or number, and what is left of their time is no fair sample:
    the window begins with the oldest of those that are still there.
    """
    columns = VERDICTS.c
    bounds = [columns.product == product, columns.id >= first_whole(connection)]
    bounds += [columns.at >= since] if since is not None else []
    bounds += [columns.at < until] if until is not None else []
    newest = (
        select(
            columns.id,
            columns.at,
            columns.score,
            columns.decision,
            columns.threshold,
            columns.review_threshold,
            columns.spot_check,
            columns.spot_check_share,
            columns.part_id,
            columns.judged,
            columns.picture_file.is_not(None).label("picture"),
        )
        .where(*bounds, columns.hash == artifact_hash)
        .order_by(columns.id.desc())
        .limit(MOST_PARTS)
    )
    rows = connection.execute(newest).all()[::-1]
    classes = _classes(connection, [row.id for row in rows if row.judged == "defect"])
    others = connection.scalar(select(func.count()).where(*bounds, columns.hash != artifact_hash)) if not rows else 0
    parts = [
        Part(
            verdict_id=row.id,
            at=row.at,
            score=row.score,
            decision=row.decision,
            threshold=row.threshold,
            review_threshold=row.review_threshold,
            spot_check=row.spot_check,
            spot_check_share=row.spot_check_share,
            part_id=row.part_id,
            picture=row.picture,
            label=row.judged if row.judged in ("good", "defect") else None,
            defect_class=classes.get(row.id),
        )
        for row in rows
    ]
    return Window(parts, int(others or 0))


def first_whole(connection: Connection) -> int:
    """The id from which on no verdict has left the store, as far as can be told by what is there.

    Ids rise by one, and only the oldest that nobody has judged leave. So nothing has left where those before the oldest
    unjudged one are all there.
    """
    columns = VERDICTS.c
    oldest = connection.scalar(select(func.min(columns.id)).where(columns.judged == ""))
    end = oldest if oldest is not None else int(connection.scalar(select(func.max(columns.id))) or 0) + 1
    before = connection.scalar(select(func.count()).where(columns.id < end))
    return 1 if before == end - 1 else int(end)


def _classes(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The class that was named last for each of these verdicts."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):
        named = (
            select(REVIEWS.c.verdict_id, REVIEWS.c.defect_class)
            .where(
                and_(
                    REVIEWS.c.verdict_id.in_(ids[start : start + 500]),
                    REVIEWS.c.withdrawn_at.is_(None),
                    REVIEWS.c.defect_class.is_not(None),
                )
            )
            .order_by(REVIEWS.c.id)
        )
        found |= {row.verdict_id: row.defect_class for row in connection.execute(named)}
    return found


def kept_pictures(connection: Connection, ids: Sequence[int]) -> list[KeptPicture]:
    """The pictures that are kept of these verdicts, MOST_PICTURES at most and spread over them."""
    chosen = list(ids)[:: max(1, -(-len(ids) // MOST_PICTURES))]
    columns = VERDICTS.c
    wanted = select(columns.picture_file, columns.picture_bytes).where(
        columns.id.in_(chosen), columns.picture_file.is_not(None)
    )
    return [KeptPicture(row.picture_file, row.picture_bytes) for row in connection.execute(wanted.order_by(columns.id))]


def not_good_any_more(connection: Connection, ids: Sequence[int]) -> int:
    """How many of these verdicts people do not call good at present."""
    columns = VERDICTS.c
    good = 0
    for start in range(0, len(ids), 500):
        some = columns.id.in_(list(ids)[start : start + 500])
        good += int(connection.scalar(select(func.count()).where(some, columns.judged == "good")) or 0)
    return len(ids) - good
