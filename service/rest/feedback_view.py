"""How REST shows stored verdicts and reviews, and reads a filter of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.feedback.rows import Review, VerdictFilter, VerdictRow
from service.rest.feedback_schemas import (
    PlaceQuery,
    Resemblance,
    ReviewQueue,
    ReviewRow,
    StoredVerdict,
    VerdictPage,
    VerdictQuery,
)

NOT_SHOWN = frozenset({"image_index", "picture_file", "picture_type", "picture_bytes", "picture_gone_at"})
NOT_SHOWN_EITHER = frozenset({"judged", "waiting"})  # they follow from the reviews
HIDDEN = NOT_SHOWN | NOT_SHOWN_EITHER


def row_of(row: VerdictRow) -> StoredVerdict:
    """One stored verdict."""
    return StoredVerdict.model_construct(**row_members(row))


def row_members(row: VerdictRow) -> dict[str, Any]:
    """The members of StoredVerdict, for what has more than these."""
    members: dict[str, Any] = {name: value for name, value in vars(row).items() if name not in HIDDEN}
    members["at"] = time_of(row.at)
    members["picture"] = row.picture_file is not None
    members["reviews"] = [review_of(review) for review in row.reviews]
    members["resembles"] = None if row.resembles is None else Resemblance.model_construct(**vars(row.resembles))
    return members


def review_of(review: Review) -> ReviewRow:
    """One review."""
    withdrawn_at = None if review.withdrawn_at is None else time_of(review.withdrawn_at)
    return ReviewRow.model_construct(**{**vars(review), "at": time_of(review.at), "withdrawn_at": withdrawn_at})


def page_json(rows: Sequence[VerdictRow], limit: int) -> str:
    """A page of verdicts as JSON. Of hundreds it takes milliseconds, so call it in a thread."""
    following = rows[-1].id if len(rows) == limit else None
    return VerdictPage.model_construct(verdicts=[row_of(row) for row in rows], next=following).model_dump_json()


def queue_json(rows: Sequence[VerdictRow], waiting: int) -> str:
    """The queue for review likewise."""
    return ReviewQueue.model_construct(verdicts=[row_of(row) for row in rows], waiting=waiting).model_dump_json()


def filter_of(query: PlaceQuery) -> VerdictFilter:
    """The filter that a query asks for."""
    if not isinstance(query, VerdictQuery):
        return VerdictFilter(product=query.product, station=query.station)
    return VerdictFilter(
        product=query.product,
        version=query.version,
        decisions=frozenset(query.decision),
        line=query.line,
        station=query.station,
        part_id=query.part_id,
        since=seconds_of(query.since),
        until=seconds_of(query.until),
        reviewed=query.reviewed,
        spot_check=query.spot_check,
    )


def time_of(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def seconds_of(moment: datetime | None) -> float | None:
    """The inverse; a time without a zone is taken as UTC."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
