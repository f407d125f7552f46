"""How REST shows recalibrations and what-ifs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from models.calibration.conformal import Decision, Thresholds
from service.feedback.recalibration.record import Asked, Recalibration
from service.rest.feedback_view import row_of, seconds_of, time_of
from service.rest.recalibration_schemas import (
    ChangedVerdict,
    Decisions,
    RecalibrationBody,
    RecalibrationReply,
    Side,
    WhatIfReply,
)

if TYPE_CHECKING:
    from service.feedback.recalibration.what_if import WhatIf


def asked_of(body: RecalibrationBody) -> Asked:
    """What the core is asked for."""
    return Asked(
        max_false_reject=body.max_false_reject,
        review_rate=body.review_rate,
        since=seconds_of(body.since),
        until=seconds_of(body.until),
    )


def reply_of(record: Recalibration) -> RecalibrationReply:
    """One recalibration."""
    return RecalibrationReply.model_validate(
        {
            "id": record.id,
            "state": record.state,
            "reason": record.reason,
            "at": time_of(record.at),
            "by": record.by,
            "since": _time(record.since),
            "until": _time(record.until),
            "from_version": record.from_version,
            "to_version": record.to_version if record.state == "applied" else None,
            "applied_at": _time(record.applied_at),
            "applied_by": record.applied_by if record.state == "applied" else None,
            **(record.result or {}),
        }
    )


def what_if_of(version: str, thresholds: tuple[Thresholds, Thresholds], found: WhatIf) -> WhatIfReply:
    """Now and then side by side."""
    now, then = thresholds
    return WhatIfReply(
        version=version,
        now=_side(now, found.now),
        then=_side(then, found.then),
        changed_total=found.changes,
        changed=[
            ChangedVerdict.model_construct(**dict(row_of(row)), becomes=becomes) for row, becomes in found.changed
        ],
    )


def _side(thresholds: Thresholds, counts: Mapping[Decision, int]) -> Side:
    return Side(
        threshold=thresholds.ng.value,
        review_threshold=thresholds.review.value if thresholds.review is not None else None,
        rate_promised=thresholds.ng.rate_promised,
        counts=Decisions(OK=counts["OK"], REVIEW=counts["REVIEW"], NG=counts["NG"]),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)
