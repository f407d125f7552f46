"""Keeps how long steps take on this machine, so that a later start need not run them to know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field

from models.kept_records import KeptRecords

FOLDER = "step-times"


class StepTime(BaseModel):
    """One step as it was measured."""

    seconds: float = Field(gt=0, allow_inf_nan=False)


class StepTimes:
    """Measured steps, in `folder`/step-times."""

    def __init__(self, folder: Path) -> None:
        self._records = KeptRecords(folder / FOLDER, StepTime)

    def seconds(self, conditions: str, run: Callable[[], float]) -> float:
        """The seconds kept under these conditions, which must tell all that they follow from, or those of `run`."""
        if (kept := self._records.find(conditions)) is not None:
            return kept.seconds
        seconds = run()
        if seconds > 0:
            self._records.keep(conditions, StepTime(seconds=seconds))
        return seconds
