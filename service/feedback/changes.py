"""What is new in the store since a page or process last looked: verdicts, and verdicts whose reviews have changed."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from service.feedback.rows import Changes, Position, VerdictFilter, VerdictRow
from service.feedback.tables import REVIEW_CHANGES, VERDICTS
from service.feedback.verdicts import conditions, newest_id, with_reviews

MOST_REVIEWS = 1000


def now(connection: Connection) -> Position:
    """The end of all that is stored."""
    return Position(newest_id(connection), int(connection.scalar(select(func.max(REVIEW_CHANGES.c.id))) or 0))


def since(connection: Connection, position: Position, most: int) -> Changes:
    """What came after `position`, the newest `most` verdicts of it."""
    end = now(connection)
    if end == position:
        return Changes([], [], position)
    verdicts = _newest(connection, VerdictFilter(), position.verdict, end.verdict, most)
    after_change = REVIEW_CHANGES.c.id > position.change
    return Changes(verdicts[-most:], _reviewed(connection, after_change, VerdictFilter()), end, len(verdicts) > most)


def missed(connection: Connection, wanted: VerdictFilter, last_verdict: int, upto: Position, most: int) -> Changes:
    """What a page that has seen verdicts up to `last_verdict` has missed up to a position.

    A change of a review may be among it that the page has seen: it says the same once more.
    """
    verdicts = _newest(connection, wanted, last_verdict, upto.verdict, most)
    after = REVIEW_CHANGES.c.after_verdict >= last_verdict
    reviewed = _reviewed(connection, after & (REVIEW_CHANGES.c.id <= upto.change), wanted)
    return Changes(verdicts[-most:], reviewed, upto, len(verdicts) > most)


def _newest(connection: Connection, wanted: VerdictFilter, after: int, upto: int, most: int) -> list[VerdictRow]:
    """Oldest first; one more than `most` where there are more."""
    chosen = select(VERDICTS).where(VERDICTS.c.id > after, VERDICTS.c.id <= upto, *conditions(wanted))
    return with_reviews(connection, chosen.order_by(VERDICTS.c.id.desc()).limit(most + 1))[::-1]


def _reviewed(connection: Connection, condition: object, wanted: VerdictFilter) -> list[VerdictRow]:
    """The verdicts whose reviews have changed, each once, by their last change."""
    last = func.max(REVIEW_CHANGES.c.id)
    changed = select(REVIEW_CHANGES.c.verdict_id, last.label("last")).where(condition)  # type: ignore[arg-type]
    newest = changed.group_by(REVIEW_CHANGES.c.verdict_id).order_by(last.desc()).limit(MOST_REVIEWS).subquery()
    chosen = select(VERDICTS).join(newest, VERDICTS.c.id == newest.c.verdict_id).where(*conditions(wanted))
    return with_reviews(connection, chosen.order_by(newest.c.last))
