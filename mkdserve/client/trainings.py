"""A first training as the service tells of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

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

    @property
    def over(self) -> bool:
        """Whether it does not run any more."""
        return self.state != "running"


class TrainingList(Answer):
    """All trainings of a product, newest first."""

    trainings: tuple[Training, ...]
