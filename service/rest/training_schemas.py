"""What callers send to start a training and get to see of one, as the schemas of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.heads.registry import method_names
from service.rest.product_schemas import RatedThreshold
from service.rest.schemas import ProductName, Schema

AUTO = "auto"


class TrainingQuery(BaseModel):
    """Query parameters of POST /products/{name}/trainings."""

    model_config = ConfigDict(extra="forbid")

    version: ProductName | None = Field(default=None, description="Of the artifact; by default the training's id.")
    method: str = Field(
        default=AUTO, description="A method of `mkd-train methods`; auto chooses by defects painted on the pictures."
    )
    image_size: int | None = Field(
        default=None, ge=32, le=1024, multiple_of=32, description="Side of the network's input, in pixels."
    )
    review_rate: float | None = Field(default=None, gt=0, lt=1, description="False-reject rate of REVIEW.")
    ng_rate: float | None = Field(default=None, gt=0, lt=1, description="False-reject rate of NG.")
    hold_out: float | None = Field(default=None, gt=0, lt=1, description="Share of the pictures kept for calibration.")
    calibrate_by: Literal["held-out", "folds"] | None = Field(
        default=None, description="Thresholds are counted on pictures kept from the fit, or by folds on all of them."
    )
    folds: int | None = Field(default=None, ge=2, le=50, description="How many, with calibrate_by=folds.")
    accept_degenerate: bool = Field(
        default=False, description="Make an artifact even if the pictures teach nothing; it says so then."
    )

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        known = (AUTO, *method_names())
        if value not in known:
            raise ValueError(f"is none of {', '.join(known)}")
        return value

    @model_validator(mode="after")
    def _folds_where_they_are_asked_for(self) -> Self:
        if self.folds is not None and self.calibrate_by != "folds":
            raise ValueError("folds go with calibrate_by=folds")
        return self

    def flags(self) -> list[str]:
        """The same for the trainer's command line."""
        given = self.model_dump(exclude={"version", "accept_degenerate"}, exclude_none=True)
        flags = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        return [*flags, *(["--accept-degenerate"] if self.accept_degenerate else [])]


class RefusedPictureSchema(Schema):
    """A picture that is not trained on."""

    name: str | None = Field(description="Name under which it was sent.")
    code: str
    detail: str


class ProgressSchema(Schema):
    """How far the trainer's present stage is."""

    stage: str
    done: int
    total: int


class TrainedArtifact(Schema):
    """What a training has made and nobody has activated yet."""

    method: str
    image_size: int
    images_trained: int
    images_held_out: int = Field(description="Kept for the calibration; 0 by folds, where all of them calibrate.")
    folds: int | None = Field(description="By how many folds all pictures calibrate; null where some were held out.")
    smallest_false_reject: float = Field(description="The smallest false-reject rate that it can promise.")
    threshold: RatedThreshold
    review_threshold: RatedThreshold | None
    doubts: list[str] = Field(description="Why its training set is degenerate; empty for a sound one.")


class Training(Schema):
    """One training."""

    id: str
    product: str
    version: str = Field(description="Version of the artifact that it makes.")
    method: str
    state: Literal["running", "ready", "active", "stopped", "failed"]
    reason: str | None = Field(description="Why it was stopped or has failed, in words.")
    at: datetime
    ended_at: datetime | None
    by: str | None = Field(description="Name of the key that started it.")
    pictures: int = Field(description="Pictures that are trained on.")
    refused: list[RefusedPictureSchema] = Field(description="Pictures that are not, by the name they were sent under.")
    progress: ProgressSchema | None = Field(description="While it runs, where the trainer tells.")
    log: list[str] = Field(description="The last lines that the trainer said, 40 at most.")
    artifact: TrainedArtifact | None = Field(description="While it is ready: what to know before it is activated.")


class TrainingList(Schema):
    """All trainings of a product, newest first."""

    trainings: list[Training]
