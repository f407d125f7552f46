"""Judgements by people: made, withdrawn, and what follows from them for a verdict, each in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.errors import AlreadyReviewed, Forbidden, ReviewNotFound, VerdictNotFound
from service.feedback.rows import Review, Said, VerdictRow
from service.feedback.tables import REVIEW_CHANGES, REVIEWS, VERDICTS
from service.feedback.verdicts import TO_REVIEW, newest_id, one


@dataclass(frozen=True)
class Judged:
    """A review that was made or withdrawn, and its verdict as it stands after that."""

    review: Review
    verdict: VerdictRow


def judge(connection: Connection, verdict_id: int, said: Said, by: str, at: float) -> Judged:
    """Note what `by` says of a part. One's own unsure gives way to it.

    Raises VerdictNotFound, and AlreadyReviewed where one's own good or defect stands.
    """
    verdict = one(connection, verdict_id)
    if verdict is None:
        raise VerdictNotFound(f"there is no verdict {verdict_id}, or none any more")
    own = next((review for review in verdict.reviews if review.by == by and review.withdrawn_at is None), None)
    if own is not None:
        if own.label != "unsure":
            raise AlreadyReviewed(f"{by!r} has called verdict {verdict_id} {own.label}; withdraw review {own.id} first")
        _withdraw(connection, own.id, by, at)
    values = {"verdict_id": verdict_id, "by": by, "at": at, "label": said.label}
    try:
        made = connection.execute(
            insert(REVIEWS).values(**values, defect_class=said.defect_class, note=said.note).returning(REVIEWS.c.id)
        )
    except IntegrityError:  # of the same person, from elsewhere, at the same time
        raise AlreadyReviewed(f"{by!r} has judged verdict {verdict_id} just now") from None
    return _settle(connection, verdict_id, int(made.scalar_one()))


def withdraw(connection: Connection, review_id: int, by: str, *, may_all: bool, at: float) -> Judged:
    """Take a review back: one's own, or any with `may_all`. One that was withdrawn before stays as it was.

    Raises ReviewNotFound, and Forbidden for somebody else's.
    """
    found = connection.execute(select(REVIEWS).where(REVIEWS.c.id == review_id)).mappings().first()
    if found is None:
        raise ReviewNotFound(f"there is no review {review_id}")
    if found["by"] != by and not may_all:
        raise Forbidden(f"review {review_id} is of {found['by']!r}: who made it can withdraw it, or the scope 'admin'")
    if found["withdrawn_at"] is None:
        _withdraw(connection, review_id, by, at)
    return _settle(connection, int(found["verdict_id"]), review_id)


def judged_of(reviews: tuple[Review, ...]) -> str:
    """What standing reviews say together: good, defect, disagreed, or empty."""
    labels = {review.label for review in reviews if review.withdrawn_at is None} - {"unsure"}
    return "disagreed" if len(labels) > 1 else next(iter(labels), "")


def _withdraw(connection: Connection, review_id: int, by: str, at: float) -> None:
    connection.execute(update(REVIEWS).where(REVIEWS.c.id == review_id).values(withdrawn_at=at, withdrawn_by=by))


def _settle(connection: Connection, verdict_id: int, review_id: int) -> Judged:
    """Write what the reviews of a verdict have become, and note the change for pages."""
    verdict = one(connection, verdict_id)
    assert verdict is not None
    judged = judged_of(verdict.reviews)
    is_wanted = verdict.spot_check or verdict.decision in TO_REVIEW
    waiting = judged == "" and is_wanted and verdict.picture_file is not None
    connection.execute(update(VERDICTS).where(VERDICTS.c.id == verdict_id).values(judged=judged, waiting=waiting))
    change = {"verdict_id": verdict_id, "after_verdict": newest_id(connection)}
    connection.execute(insert(REVIEW_CHANGES).values(**change))
    after = one(connection, verdict_id)
    assert after is not None
    return Judged(next(review for review in after.reviews if review.id == review_id), after)
