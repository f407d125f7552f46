"""What the service says of its products and of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mkdserve.client.schema import Answer


class ProductSummary(Answer):
    """A product of the artifact folder; `problems` has the reason for each version that was refused."""

    name: str
    state: str
    version: str | None
    method: str | None
    hash: str | None
    versions: tuple[str, ...]
    pinned: str | None
    previous: str | None
    leases: int
    head_bytes: int
    problems: dict[str, str]
    doubts: tuple[str, ...] = ()
    golden_check: str | None = None
    note: str | None = None


class ProductList(Answer):
    """All products."""

    products: tuple[ProductSummary, ...]


class RatedThreshold(Answer):
    """A threshold, the false-reject rate asked for and the one that the calibration can promise."""

    value: float
    rate_asked: float
    rate_promised: float
    origin: str


class ProductDetail(ProductSummary):
    """A product with what its active artifact says of itself; None where it cannot be served."""

    image_size: int | None = None
    calibration_images: int | None = None
    smallest_false_reject: float | None = None
    smallest_fitted_false_reject: float | None = None
    threshold: RatedThreshold | None = None
    review_threshold: RatedThreshold | None = None


class DriftWatch(Answer):
    """One number of every part, compared with the calibration images'."""

    watched: str
    drifted: bool
    evidence: float
    towards: str | None
    since: datetime | None
    since_part: int | None
    raised_at_part: int | None
    calibration_median: float
    recent_median: float | None


class Drift(Answer):
    """Whether the parts of a product are still like those of its calibration."""

    product: str
    state: str
    words: str
    version: str | None
    started: datetime | None
    parts: int
    parts_skipped: int
    input_statistics: str
    alarm_level: float
    processes: int
    process: int
    watches: tuple[DriftWatch, ...]


class Versions(Answer):
    """What runs: versions, and by device what runs each source."""

    version: str
    python: str
    torch: str
    backends: dict[str, dict[str, str]]


class Health(Answer):
    """Whether the process can help itself."""

    status: Literal["ok", "dead"]

    @property
    def alive(self) -> bool:
        """Where not, it asks to be restarted."""
        return self.status == "ok"


class Readiness(Answer):
    """Whether requests will be judged, and why not."""

    ready: bool
    reason: str | None = None
