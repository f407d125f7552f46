"""Keeps how long steps take on this machine, so that a later start need not run them to know."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from models.kept_records import KeptRecords

FOLDER = "step-times"


class StepTime(BaseModel):
    """One step as it was measured."""

    seconds: float


def step_times(folder: Path) -> KeptRecords[StepTime]:
    """Measured steps, in `folder`/step-times, by conditions that tell all that they follow from."""
    return KeptRecords(folder / FOLDER, StepTime)
