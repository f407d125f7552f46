"""The settings of PatchCore, and what its head keeps of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig


class PatchcoreConfig(MethodConfig):
    """`bank_size` patches of good parts are kept: a coreset of all, or of `candidates` random ones of more.

    With `whiten` features are whitened by mean and covariance of all patches first, so that loud directions in which
    good parts differ anyway count less. `reweight` is the paper's weight of the image score by how usual the nearest
    kept patch is among its `neighbours` in the bank (the authors' code leaves it out). `score_share` of the patches,
    the highest ones, make the score by their mean; 0 for the highest alone.
    """

    method: Literal["patchcore"] = "patchcore"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    bank_size: int = Field(default=3000, ge=1, le=200_000)
    candidates: int = Field(default=65_536, ge=1)
    whiten: bool = True
    reweight: bool = False
    neighbours: int = Field(default=9, ge=2, le=100)
    score_share: float = Field(default=0.0, ge=0, le=0.1)


class PatchcoreRecord(BaseModel):
    """A fitted head: the taps with their scales (the activations are divided by them), and how it scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    grid_tap: str
    whiten: bool
    reweight: bool
    neighbours: int
    score_share: float = 0.0
