"""What was judged and what people said of it: rows of the store and reviews."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from mkdserve.client.schema import Answer, Picture
from mkdserve.client.verdicts import Decision, MapScale, Region

Label = Literal["good", "defect", "unsure"]


class Review(Answer):
    """What one person said of one part; `defect_class` is in the reviewers' own words."""

    id: int
    verdict_id: int
    label: Label
    defect_class: str | None = Field(alias="class")
    note: str | None
    by: str
    at: datetime
    withdrawn_at: datetime | None


class Resemblance(Answer):
    """The group of recurring defects that a part is of; `distance` is from the group's centre, 1 - cosine."""

    group: int
    name: str | None
    distance: float


class StoredVerdict(Answer):
    """One verdict of the store; `spot_check` parts were drawn for review before their score was known."""

    id: int
    at: datetime
    request_id: str
    caller: str | None
    product: str
    version: str
    method: str
    hash: str
    score: float
    p_value: float
    threshold: float
    review_threshold: float | None
    decision: Decision
    decided_by: str | None
    line: str | None
    station: str | None
    part_id: str | None
    filename: str | None
    width: int
    height: int
    spot_check: bool
    spot_check_share: float
    picture: bool
    reviews: tuple[Review, ...]
    resembles: Resemblance | None = None  # services of before there were groups do not say


class VerdictPage(Answer):
    """Rows, newest first; `next` is what `before` takes for the page after, None on the last."""

    verdicts: tuple[StoredVerdict, ...]
    next: int | None


class ReviewQueue(Answer):
    """Parts that wait for a person, oldest first, and how many there are in all."""

    verdicts: tuple[StoredVerdict, ...]
    waiting: int


class StoredLocalization(Answer):
    """Where a stored part was unlike the good ones: uint8 (H, W), its scale and regions."""

    map: Picture = Field(repr=False)
    map_scale: MapScale
    regions: tuple[Region, ...]
    group: str | None = None

    def __eq__(self, other: object) -> bool:
        return self is other  # arrays have no single answer

    __hash__ = object.__hash__
