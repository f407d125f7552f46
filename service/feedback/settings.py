"""What the feedback store is told: where it keeps verdicts and pictures, which of them, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Pictures = Literal["none", "review", "all"]
KEPT_DECISIONS: dict[Pictures, frozenset[str]] = {
    "none": frozenset(),
    "review": frozenset({"REVIEW", "NG"}),
    "all": frozenset({"OK", "REVIEW", "NG"}),
}


@dataclass(frozen=True, kw_only=True)
class FeedbackSettings:
    """`folder` has the pictures, and the database where `url` is None; `url` is SQLAlchemy's of a PostgreSQL database.

    `pictures` says of which decisions pictures are kept; a spot check's picture is kept unless it is "none".
    `keep_days`, `keep_bytes` and `keep_verdicts` bound age and bytes of pictures, and the number of verdicts; 0 is no
    bound. `queue_bytes` may wait for the disk. `spot_check_share` is the probability that a part is a spot check.
    """

    folder: Path
    url: str | None = field(default=None, repr=False)  # it may hold a password
    pictures: Pictures = "review"
    keep_days: int = 0
    keep_bytes: int = 0
    keep_verdicts: int = 0
    queue_bytes: int = 64 << 20
    spot_check_share: float = 0.0

    @property
    def kept_decisions(self) -> frozenset[str]:
        """Decisions of which every picture is kept."""
        return KEPT_DECISIONS[self.pictures]
