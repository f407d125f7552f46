"""What is known of one training, kept in a file beside its pictures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["running", "ready", "active", "stopped", "failed"]


class RefusedPicture(BaseModel):
    """A picture that is not trained on, by the name under which it was sent (None where it had none), and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None
    code: str
    detail: str


class TrainingRecord(BaseModel):
    """`pictures` counts those that are trained on. `reason` says in words why a training was stopped or has failed.

    running -> ready -> active, or running -> stopped or failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    product: str
    version: str
    method: str
    state: State
    reason: str | None = None
    at: datetime
    ended_at: datetime | None = None
    by: str | None
    pictures: int
    refused: tuple[RefusedPicture, ...] = ()
