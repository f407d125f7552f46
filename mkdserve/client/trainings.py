"""A first training as the service tells of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mkdserve.client.products import RatedThreshold
from mkdserve.client.schema import Answer


class RefusedPicture(Answer):
    """A picture that is not trained on, by the name under which it was sent."""

    name: str | None
    code: str
    detail: str


class Progress(Answer):
    """How far the trainer's present stage is."""

    stage: str
    done: int
    total: int


class TrainedArtifact(Answer):
    """What a training has made and nobody has activated yet; `doubts` say why its training set is degenerate."""

    method: str
    image_size: int
    images_trained: int
    images_held_out: int
    folds: int | None = None  # not told by services of before
    smallest_false_reject: float
    threshold: RatedThreshold
    review_threshold: RatedThreshold | None
    doubts: tuple[str, ...]


class Training(Answer):
    """One training; `reason` says why it was stopped or has failed, `log` has the last lines of the trainer."""

    id: str
    product: str
    version: str
    method: str
    state: Literal["running", "ready", "active", "stopped", "failed"]
    reason: str | None
    at: datetime
    ended_at: datetime | None
    by: str | None
    pictures: int
    refused: tuple[RefusedPicture, ...]
    progress: Progress | None
    log: tuple[str, ...]
    artifact: TrainedArtifact | None

    @property
    def over(self) -> bool:
        """Whether it does not run any more."""
        return self.state != "running"


class TrainingList(Answer):
    """All trainings of a product, newest first."""

    trainings: tuple[Training, ...]
