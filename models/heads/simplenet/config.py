"""The settings of SimpleNet, and what its head keeps of them."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig
from models.heads.parts.loop_settings import LoopSettings


class SimplenetConfig(MethodConfig, LoopSettings):
    """A step looks at `patches` random ones of its batch; the discriminator has `hidden` units.

    `noise` is the standard deviation of what is added to adapted features; "auto" takes it from how far patches of
    good parts that are set aside lie from the nearest others. With `whiten` features are whitened by mean and
    covariance of all patches first. `learning_rate` is the discriminator's, `adaptor_rate` the adaptor's.
    """

    method: Literal["simplenet"] = "simplenet"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    whiten: bool = False
    noise: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    hidden: int = Field(default=1024, ge=1, le=8192)
    patches: int = Field(default=512, ge=2)
    steps: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    adaptor_rate: float = Field(default=1e-4, gt=0)
    average_decay: float = Field(default=0.98, ge=0, lt=1)

    @property
    def fingerprint(self) -> str:
        """The settings that decide the trained weights, beside those of the loop."""
        return json.dumps(self.model_dump(mode="json", exclude=set(LoopSettings.model_fields)), sort_keys=True)


class SimplenetRecord(BaseModel):
    """A fitted head: the taps with their scales (the activations are divided by them), and the noise's deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    grid_tap: str
    noise: float
