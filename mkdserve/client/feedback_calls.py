"""The calls about what was judged: verdicts, reviews, statistics, export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import httpx

from mkdserve.client.calls import Call, get, iso_time, params, path, post
from mkdserve.client.feedback import (
    Label,
    Review,
    ReviewQueue,
    StoredLocalization,
    StoredVerdict,
    VerdictPage,
)
from mkdserve.client.schema import read
from mkdserve.client.statistics import ReviewSummary, Statistics
from mkdserve.client.verdicts import Decision

CREATED = frozenset({201})


def verdicts(
    *,
    product: str | None = None,
    version: str | None = None,
    decision: Decision | Sequence[Decision] = (),
    line: str | None = None,
    station: str | None = None,
    part_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    reviewed: Literal["yes", "no", "disagreed"] | None = None,
    spot_check: bool | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Call[VerdictPage]:
    """Stored verdicts, newest first; `before` takes the `next` of the page before."""
    query = params(
        {
            "product": product,
            "version": version,
            "decision": (decision,) if isinstance(decision, str) else tuple(decision),
            "line": line,
            "station": station,
            "part_id": part_id,
            "since": iso_time(since),
            "until": iso_time(until),
            "reviewed": reviewed,
            "spot_check": spot_check,
            "before": before,
            "limit": limit,
        }
    )
    return get(VerdictPage, "verdicts", params=query)


def verdict(id: int) -> Call[StoredVerdict]:
    """One stored verdict."""
    return get(StoredVerdict, "verdicts", id)


def picture(id: int) -> Call[bytes]:
    """The image file as it was received. Gone where it has been thinned away, NotFound where it was never kept."""
    return Call(method="GET", path=path("verdicts", id, "picture"), read=_bytes)


def localization(id: int) -> Call[StoredLocalization]:
    """Map and regions of a stored part, judged again by the version that judged it."""
    return get(StoredLocalization, "verdicts", id, "localization")


def review_queue(*, product: str | None = None, station: str | None = None, limit: int = 50) -> Call[ReviewQueue]:
    """Parts that wait for a person, oldest first."""
    return get(ReviewQueue, "reviews", params=params({"product": product, "station": station, "limit": limit}))


def review(id: int, label: Label, *, defect_class: str | None = None, note: str | None = None) -> Call[Review]:
    """Say what the part of a stored verdict is. Conflict where your own review stands already."""
    given = {"label": label, "class": defect_class, "note": note}
    body = {name: value for name, value in given.items() if value is not None}
    return post(Review, "verdicts", id, "reviews", json=body, statuses=CREATED, repeatable=False)


def withdraw_review(id: int) -> Call[Review]:
    """Take a review back; it stays on record as withdrawn."""
    return Call(method="DELETE", path=path("reviews", id), read=partial(read, Review))


def review_summary(*, product: str | None = None, since: datetime | None = None) -> Call[ReviewSummary]:
    """False rejects, misses and detection rate by class of defect, by what people said."""
    return get(ReviewSummary, "reviews", "summary", params=params({"product": product, "since": iso_time(since)}))


def statistics(
    *, product: str | None = None, station: str | None = None, since: datetime | None = None, buckets: int = 48
) -> Call[Statistics]:
    """Decisions over time and the spread of p-values."""
    query = params({"product": product, "station": station, "since": iso_time(since), "buckets": buckets})
    return get(Statistics, "statistics", params=query)


def export(
    file: Path,
    *,
    product: str | None = None,
    form: Literal["mvtec", "parquet"] = "mvtec",
    since: datetime | None = None,
    deadline_s: float = 600.0,
) -> Call[Path]:
    """Everything judged, as a tar of a folder in the MVTec layout or as Parquet, written into `file`."""
    query = params({"product": product, "form": form, "since": iso_time(since)})
    return Call(method="GET", path="/export", read=lambda _: file, params=query, into=file, deadline_s=deadline_s)


def _bytes(answer: httpx.Response) -> bytes:
    return answer.content
