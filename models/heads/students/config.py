"""The settings of Uninformed Students, and what their head keeps of them."""

from __future__ import annotations

import json
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.heads.base import MethodConfig
from models.heads.parts.loop_settings import LoopSettings


class StudentsConfig(MethodConfig, LoopSettings):
    """`students` networks learn the source's activations at each of `taps`, the depths of the paper.

    `width` is the channels of a student at stride 4; each further stride has twice as many. `aside` is the share of the
    good images that no student learns, on which errors and variances are standardised.
    """

    # What decides the trained weights, beside the loop and the images.
    TRAINED_BY: ClassVar[frozenset[str]] = frozenset({"taps", "students", "width", "weight_decay"})

    method: Literal["students"] = "students"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    students: int = Field(default=3, ge=2, le=16)
    width: int = Field(default=32, ge=2, le=256, multiple_of=2)
    aside: float = Field(default=0.1, gt=0, lt=0.9)
    weight_decay: float = Field(default=1e-5, ge=0)
    steps: int = Field(default=400, ge=1)
    batch_size: int = Field(default=8, ge=2)
    average_decay: float = Field(default=0.98, ge=0, lt=1)

    @property
    def fingerprint(self) -> str:
        """The settings that decide the trained weights, beside those of the loop."""
        return json.dumps(self.model_dump(mode="json", include=set(self.TRAINED_BY)), sort_keys=True)


class Yardstick(BaseModel):
    """Mean and standard deviation of one depth's errors and variances on good images that no student has learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error_mean: float
    error_spread: float = Field(gt=0)
    variance_mean: float
    variance_spread: float = Field(gt=0)


class StudentsRecord(BaseModel):
    """A trained head: the source and its taps, the students' form, and a yardstick for each tap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    taps: tuple[str, ...] = Field(min_length=1)
    grid_tap: str
    students: int
    width: int
    yardsticks: tuple[Yardstick, ...]

    @model_validator(mode="after")
    def _one_yardstick_per_tap(self) -> Self:
        if len(self.yardsticks) != len(self.taps):
            raise ValueError(f"yardsticks needs one entry for each of the {len(self.taps)} taps")
        return self
