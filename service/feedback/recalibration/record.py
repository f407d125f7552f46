"""One recalibration as the feedback store keeps it, from its proposal to the version that it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["running", "ready", "refused", "applied", "failed"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody asks for: a window (seconds since 1970, None is no bound) and rates (None keeps the artifact's)."""

    max_false_reject: float | None = None
    review_rate: float | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """`result` is what the proposal would do, and `content` what its artifact would have; both None until it is ready.

    `since` and `until` bound the window that was asked for, None is no bound. Of one that is refused `result` has the
    bounds that would do. Times are seconds since 1970.
    """

    id: int
    product: str
    state: State
    at: float
    by: str
    since: float | None
    until: float | None
    from_version: str
    from_hash: str
    to_version: str | None = None
    reason: str | None = None
    applied_at: float | None = None
    applied_by: str | None = None
    result: Mapping[str, Any] | None = None
    content: Mapping[str, Any] | None = None
