"""The settings of PaDiM, and what its head keeps of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.heads.base import MethodConfig

Covariance = Literal["place", "shared"]
Reduction = Literal["projection", "channels"]


class PadimConfig(MethodConfig):
    """`dimensions` of the taps' channels are kept, drawn once by the seed.

    `reduction` "projection" takes random orthonormal mixtures of all channels (Kim et al., 2021), "channels" single
    ones (the paper). `covariance` "place" keeps a Gaussian for each place (the paper), for parts that lie still;
    "shared" one for all places, for textures and parts that lie freely. `regularisation` is added to the covariance's
    diagonal, in units of each tap's mean square; "auto" takes the one under which unseen good parts are likeliest.
    `score_share` of the places, the highest ones, make the score by their mean; 0 for the highest alone.
    """

    method: Literal["padim"] = "padim"
    taps: tuple[str, ...] = Field(default=("pool2", "pool3", "pool4"), min_length=1)
    dimensions: int = Field(default=100, ge=1, le=4096)
    reduction: Reduction = "projection"
    covariance: Covariance = "place"
    regularisation: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = "auto"
    score_share: float = Field(default=0.0, ge=0, le=0.1)


class PadimRecord(BaseModel):
    """A fitted head: the taps with their scales (the activations are divided by them), and the tap of the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[str, ...] = Field(min_length=1)
    tap_scales: tuple[float, ...]
    grid_tap: str
    covariance: Covariance
    score_share: float = 0.0
