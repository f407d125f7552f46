"""The settings of SPADE, and what its head keeps of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig

ImageScore = Literal["picture", "peak"]


class SpadeConfig(MethodConfig):
    """A part is compared with its `neighbours` most similar good pictures, found by the mean of `image_tap`.

    `image_score` "picture" is the mean distance to them (the paper), which costs next to nothing; "peak" the highest
    place of the map. `bank_limit_mb` bounds the bank of good pictures (10^6 bytes): where it is too small for all, a
    coreset of them is kept.
    """

    method: Literal["spade"] = "spade"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    image_tap: str = "pool5"
    neighbours: int = Field(default=50, ge=1, le=1000)
    image_score: ImageScore = "peak"
    bank_limit_mb: int = Field(default=512, ge=1, le=100_000)


class SpadeRecord(BaseModel):
    """A fitted head: its taps with their scales (the activations are divided by them), and how it scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    image_tap: str
    neighbours: int
    image_score: ImageScore
