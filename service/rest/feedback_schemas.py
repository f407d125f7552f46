"""Stored verdicts and reviews as callers get them, and what they send, as schemas of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from service.inspection.characters import unprintable
from service.rest.schemas import ContextText, Decision, ProductName, Schema

LARGEST_ID = (1 << 63) - 1
MOST_ROWS = 500
CLASS_PATTERN = f'^[^{unprintable()}/\\\\:*?"<>|]{{1,64}}$'
NOTE_PATTERN = r"^[^\x00]{1,1000}$"
Label = Literal["good", "defect", "unsure"]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class ReviewRow(Schema):
    """What one person said of one part."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True, validate_by_name=True)

    id: int
    verdict_id: int
    label: Label
    defect_class: str | None = Field(alias="class", description="Class of the defect, in the reviewer's own words.")
    note: str | None
    by: str = Field(description="Name of the key; anonymous where there are no keys.")
    at: datetime
    withdrawn_at: datetime | None


class Resemblance(Schema):
    """The group of recurring defects that a part's strongest region belongs to."""

    group: int
    name: str | None
    distance: float = Field(description="From the group's centre, 1 - cosine.")


class StoredVerdict(Schema):
    """A verdict as it was given, and what people said of the part since."""

    id: int = Field(description="Rises with time; never given twice.")
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
    spot_check: bool = Field(description="Drawn for review at random, before the part was judged.")
    spot_check_share: float = Field(description="Probability of that draw.")
    picture: bool = Field(description="Whether its picture is kept now.")
    reviews: list[ReviewRow] = Field(description="Oldest first, withdrawn ones too.")
    resembles: Resemblance | None = Field(
        default=None, description="Group of recurring defects; null where none is alike, or nobody has looked yet."
    )


class VerdictPage(Schema):
    """Stored verdicts, newest first."""

    verdicts: list[StoredVerdict]
    next: int | None = Field(description="`before` of the next page; null where there is none.")


class ReviewQueue(Schema):
    """Parts that wait for a person's judgement, oldest first."""

    verdicts: list[StoredVerdict]
    waiting: int = Field(description="How many wait in all.")


class ReviewBody(BaseModel):
    """Body of POST /verdicts/{id}/reviews."""

    model_config = ConfigDict(extra="forbid")

    label: Label
    defect_class: str | None = Field(default=None, alias="class", pattern=CLASS_PATTERN)
    note: str | None = Field(default=None, pattern=NOTE_PATTERN)

    @field_validator("defect_class")
    @classmethod
    def _a_class(cls, value: str | None) -> str | None:
        """It becomes the name of a folder in an export, where `good` has a meaning of its own."""
        if value is not None and (value != value.strip() or value.startswith(".") or value.casefold() == "good"):
            raise ValueError("a class begins and ends with no blank, begins with no dot, and is not called good")
        return value

    @model_validator(mode="after")
    def _of_a_defect(self) -> Self:
        if self.defect_class is not None and self.label != "defect":
            raise ValueError("class goes with the label defect")
        return self


class PlaceQuery(BaseModel):
    """Query parameters that name a product and a station."""

    model_config = ConfigDict(extra="forbid")

    product: ProductName | None = Field(default=None, description="Of this product only.")
    station: ContextText = Field(default=None, description="Of this station only.")


class EventQuery(PlaceQuery):
    """Query parameters of /events."""

    after: int | None = Field(
        default=None, ge=0, le=LARGEST_ID, description="As Last-Event-ID, for a first connection: the last id seen."
    )


class QueueQuery(PlaceQuery):
    """Query parameters of /reviews."""

    limit: int = Field(default=50, ge=1, le=MOST_ROWS)


class VerdictQuery(PlaceQuery):
    """Query parameters of /verdicts."""

    version: ProductName | None = Field(default=None, description="Judged by this version only.")
    decision: list[Decision] = Field(default=[], description="Repeatable.")
    line: ContextText = Field(default=None, description="Of this line only.")
    part_id: ContextText = Field(default=None, description="Of this part only.")
    since: datetime | None = Field(default=None, description="From this time on; UTC where it has no zone.")
    until: datetime | None = Field(default=None, description="Before this time.")
    reviewed: Literal["yes", "no", "disagreed"] | None = Field(
        default=None, description="yes: called good or defect by somebody; disagreed: both, by different people."
    )
    spot_check: bool | None = Field(default=None, description="Spot checks only, or all but these.")
    before: int | None = Field(default=None, ge=1, le=LARGEST_ID, description="`next` of the page before.")
    limit: int = Field(default=50, ge=1, le=MOST_ROWS)


class PictureQuery(BaseModel):
    """Query parameters of /verdicts/{id}/picture."""

    model_config = ConfigDict(extra="forbid")

    form: Literal["received", "png", "shown"] = Field(
        default="received",
        description="received: the file as it came; png: upright, 8 bits, for any browser; shown: the file where a "
        "browser shows it, else png.",
    )
    group: str | None = Field(
        default=None,
        max_length=32,
        description="Of a part with groups of channels: the one whose picture is wanted, as png. The first by default.",
    )


class ExportQuery(BaseModel):
    """Query parameters of /export."""

    model_config = ConfigDict(extra="forbid")

    form: Literal["mvtec", "parquet"] = Field(
        default="mvtec",
        description="mvtec: a tar of the pictures that people agree on; parquet: a row for each verdict.",
    )
    product: ProductName | None = Field(default=None, description="Of this product only.")
    since: datetime | None = Field(default=None, description="From this time on; UTC where it has no zone.")
