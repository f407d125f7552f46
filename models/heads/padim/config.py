"""The settings of PaDiM, and what its head keeps of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig

Covariance = Literal["place", "shared"]


class PadimConfig(MethodConfig):
    """`channels` of the taps' channels are drawn once, by the seed.

    `covariance` "place" keeps a Gaussian for each place (the paper), for parts that lie still; "shared" one for all
    places, for textures and parts that lie freely.
    `regularisation` is added to the covariance's diagonal, in units of each tap's mean square.
    """

    method: Literal["padim"] = "padim"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    channels: int = Field(default=100, ge=1, le=4096)
    covariance: Covariance = "place"
    regularisation: float = Field(default=0.01, gt=0, le=1)


class PadimRecord(BaseModel):
    """A fitted head: the taps with their scales (the activations are divided by them), and the tap of the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    grid_tap: str
    covariance: Covariance
