"""The calls about what was judged: verdicts, reviews, statistics, recalibrations, export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import httpx

from mkdserve.client.calls import Call, get, params, path, post
from mkdserve.client.feedback import (
    Label,
    Recalibration,
    RecalibrationList,
    Review,
    ReviewQueue,
    Row,
    RowPage,
    Statistics,
    StoredLocalization,
)
from mkdserve.client.schema import read
from mkdserve.client.verdicts import Decision

CREATED = frozenset({201})
ACCEPTED = frozenset({202})


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
) -> Call[RowPage]:
    """Stored verdicts, newest first; `before` takes the `next` of the page before."""
    query = params(
        {
            "product": product,
            "version": version,
            "decision": (decision,) if isinstance(decision, str) else tuple(decision),
            "line": line,
            "station": station,
            "part_id": part_id,
            "since": _time(since),
            "until": _time(until),
            "reviewed": reviewed,
            "spot_check": spot_check,
            "before": before,
            "limit": limit,
        }
    )
    return get(RowPage, "verdicts", params=query)


def verdict(id: int) -> Call[Row]:
    """One stored verdict."""
    return get(Row, "verdicts", id)


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


def statistics(
    *, product: str | None = None, station: str | None = None, since: datetime | None = None, buckets: int = 48
) -> Call[Statistics]:
    """Decisions over time and the spread of p-values."""
    query = params({"product": product, "station": station, "since": _time(since), "buckets": buckets})
    return get(Statistics, "statistics", params=query)


def recalibrate(
    name: str, *, max_false_reject: float | None = None, review_rate: float | None = None
) -> Call[Recalibration]:
    """Propose new thresholds from confirmed parts; it runs on, and nothing changes until it is applied."""
    given = {"max_false_reject": max_false_reject, "review_rate": review_rate}
    body = {key: value for key, value in given.items() if value is not None}
    return post(Recalibration, "products", name, "recalibrations", json=body, statuses=ACCEPTED, repeatable=False)


def recalibrations(name: str) -> Call[RecalibrationList]:
    """All recalibrations of a product."""
    return get(RecalibrationList, "products", name, "recalibrations")


def recalibration(name: str, id: int | str) -> Call[Recalibration]:
    """How one of them stands."""
    return get(Recalibration, "products", name, "recalibrations", id)


def apply_recalibration(name: str, id: int | str) -> Call[Recalibration]:
    """Write the new version of the artifact and make it the active one."""
    return post(Recalibration, "products", name, "recalibrations", id, "apply", repeatable=False)


def export(
    file: Path,
    *,
    product: str | None = None,
    form: Literal["mvtec", "parquet"] = "mvtec",
    since: datetime | None = None,
    deadline_s: float = 600.0,
) -> Call[Path]:
    """Everything judged, as a tar of a folder in the MVTec layout or as Parquet, written into `file`."""
    query = params({"product": product, "form": form, "since": _time(since)})
    return Call(method="GET", path="/export", read=lambda _: file, params=query, into=file, deadline_s=deadline_s)


def _time(moment: datetime | None) -> str | None:
    """ISO 8601. Raises ValueError for a time without its zone: it would mean another moment there than here."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; give datetime(..., tzinfo=UTC)")
    return moment.isoformat()


def _bytes(answer: httpx.Response) -> bytes:
    return answer.content
