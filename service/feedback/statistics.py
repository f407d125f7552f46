"""Counts over stored verdicts: decisions over time, and how p-values lie."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, cast, func, select

from service.feedback.counts import Statistics
from service.feedback.rows import VerdictFilter
from service.feedback.tables import VERDICTS
from service.feedback.verdicts import waiting_count

DECISIONS = ("OK", "REVIEW", "NG")
P_VALUE_BINS = 20


def statistics(connection: Connection, wanted: VerdictFilter, since: float, until: float, buckets: int) -> Statistics:
    """Verdicts of a product and station from `since` up to `until` (seconds since 1970), in buckets of equal length."""
    width = max(until - since, 1e-3) / buckets
    columns = VERDICTS.c
    place = _whole(connection, (columns.at - since) / width)
    bin_ = _whole(connection, columns.p_value * P_VALUE_BINS)
    chosen = (*_conditions(wanted), columns.at >= since, columns.at < until)
    groups = (place, columns.decision, bin_)
    counts = [dict.fromkeys(DECISIONS, 0) for _ in range(buckets)]
    p_values = [0] * P_VALUE_BINS
    for bucket, decision, p_value, count in connection.execute(
        select(*groups, func.count()).where(*chosen).group_by(*groups)
    ):
        counts[min(int(bucket), buckets - 1)][decision] += count
        p_values[min(int(p_value), P_VALUE_BINS - 1)] += count
    begins = [since + number * width for number in range(buckets)]
    return Statistics(list(zip(begins, counts, strict=True)), p_values, waiting_count(connection, wanted))


def _conditions(wanted: VerdictFilter) -> list[ColumnElement[bool]]:
    """Written so that SQLite takes the index by time, which has all that is read, and none by product."""
    columns = VERDICTS.c
    equal = ((columns.product, wanted.product), (columns.station, wanted.station))
    return [column.concat("") == value for column, value in equal if value is not None]


def _whole(connection: Connection, value: ColumnElement[Any]) -> ColumnElement[int]:
    """The whole part: SQLite's cast cuts off, and PostgreSQL's would round."""
    return cast(value if connection.dialect.name == "sqlite" else func.floor(value), Integer)
