"""The settings of Focus Your Distribution, and what its head keeps of them."""

from __future__ import annotations

import json
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig
from models.heads.parts.loop_settings import LoopSettings


class FydConfig(MethodConfig, LoopSettings):
    """`align_image` brings the picture to a common pose (ICA) and costs a second source pass; `align_features` the
    features (FCA).

    `image_steps` are those of ICA, `steps` those of FCA and the fine alignment. `dimensions` are the random mixtures of
    the taps' channels that are aligned. `regularisation` is added to the covariances' diagonal, in units of the mean
    variance.
    """

    # What decides the weights of the fine alignment, beside the loop and the images.
    TRAINED_BY: ClassVar[frozenset[str]] = frozenset({"taps", "dimensions", "align_features"})

    method: Literal["fyd"] = "fyd"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    align_image: bool = False
    align_features: bool = True
    dimensions: int = Field(default=100, ge=4, le=1024)
    regularisation: float = Field(default=0.01, gt=0, le=1)
    image_steps: int = Field(default=300, ge=1)
    steps: int = Field(default=300, ge=1)
    average_decay: float = Field(default=0.98, ge=0, lt=1)

    @property
    def fingerprint(self) -> str:
        """The settings that decide the weights of the fine alignment, beside those of the loop."""
        return json.dumps(self.model_dump(mode="json", include=set(self.TRAINED_BY)), sort_keys=True)


class FydRecord(BaseModel):
    """A fitted head: the taps with their scales (the activations are divided by them), and what is aligned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    grid_tap: str
    pose_tap: str
    align_image: bool
    align_features: bool
