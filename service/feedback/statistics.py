"""Counts over stored verdicts: decisions over time, and how p-values lie."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, cast, func, select

from service.feedback.counts import Statistics
from service.feedback.rows import VerdictFilter
from service.feedback.tables import VERDICTS
from service.feedback.verdicts import conditions, waiting_count

DECISIONS = ("OK", "REVIEW", "NG")
P_VALUE_BINS = 20


def statistics(connection: Connection, wanted: VerdictFilter, since: float, until: float, buckets: int) -> Statistics:
    """Verdicts from `since` up to `until` (seconds since 1970), in so many buckets of equal length."""
    width = max(until - since, 1e-3) / buckets
    columns = VERDICTS.c
    chosen = (*conditions(wanted), columns.at >= since, columns.at < until)
    place = _whole(connection, (columns.at - since) / width)
    counts = [dict.fromkeys(DECISIONS, 0) for _ in range(buckets)]
    by_time = select(place, columns.decision, func.count()).where(*chosen).group_by(place, columns.decision)
    for bucket, decision, count in connection.execute(by_time):
        counts[min(int(bucket), buckets - 1)][decision] += count
    p_values = [0] * P_VALUE_BINS
    bin_ = _whole(connection, columns.p_value * P_VALUE_BINS)
    for place_, count in connection.execute(select(bin_, func.count()).where(*chosen).group_by(bin_)):
        p_values[min(int(place_), P_VALUE_BINS - 1)] += count
    begins = [since + number * width for number in range(buckets)]
    return Statistics(list(zip(begins, counts, strict=True)), p_values, waiting_count(connection, wanted))


def _whole(connection: Connection, value: ColumnElement[Any]) -> ColumnElement[int]:
    """The whole part: SQLite's cast cuts off, and PostgreSQL's would round."""
    return cast(value if connection.dialect.name == "sqlite" else func.floor(value), Integer)
