"""What another false-reject rate would have made of the verdicts that are stored: counts, and the parts that change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from models.calibration.conformal import Decision, Thresholds
from service.feedback.recalibration.window import MOST_PARTS
from service.feedback.rows import VerdictRow
from service.feedback.tables import VERDICTS
from service.feedback.verdicts import with_reviews

MOST_SHOWN = 200


@dataclass(frozen=True)
class WhatIf:
    """`now` and `then` count decisions; `changed` has the newest of the `changes` verdicts, with what each becomes.

    `now` is what the version's own thresholds decide, also of parts that were judged by others at somebody's request.
    """

    now: Mapping[Decision, int]
    then: Mapping[Decision, int]
    changes: int
    changed: list[tuple[VerdictRow, Decision]]


def what_if(
    connection: Connection, product: str, artifact_hash: str, now: Thresholds, then: Thresholds, since: float | None
) -> WhatIf:
    """Of the newest MOST_PARTS verdicts of one artifact, from `since` (seconds since 1970) on."""
    columns = VERDICTS.c
    bounds = [columns.product == product, columns.hash == artifact_hash]
    bounds += [columns.at >= since] if since is not None else []
    scores = select(columns.id, columns.score).where(*bounds).order_by(columns.id.desc()).limit(MOST_PARTS)
    before: Counter[Decision] = Counter({"OK": 0, "REVIEW": 0, "NG": 0})
    after = before.copy()
    becomes: dict[int, Decision] = {}
    for row in connection.execute(scores):
        old, new = now.decide(row.score), then.decide(row.score)
        before[old] += 1
        after[new] += 1
        if old != new:
            becomes[row.id] = new
    shown = list(becomes)[:MOST_SHOWN]
    rows = with_reviews(connection, select(VERDICTS).where(columns.id.in_(shown)).order_by(columns.id.desc()))
    return WhatIf(before, after, len(becomes), [(row, becomes[row.id]) for row in rows])
