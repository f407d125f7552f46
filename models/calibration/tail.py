"""A fitted tail of good scores in; thresholds for rates that counting cannot reach out, with how unsure they are.

Above `start` the scores are taken to follow a generalised Pareto law (Pickands; Balkema and de Haan):

    P(score > s) = share * (1 + shape * (s - start) / scale) ** (-1 / shape)

`models.calibration.tail_fit` fits it. It is an extrapolation, never a promise: whoever uses it says so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

REACH = 10.0  # times further than the smallest rate that counting can promise; beyond, a fit says nothing
EDGE = 0.01  # of the replicates are left out on either side: resampling few values understates how unsure a fit is
_NEARLY_EXPONENTIAL = 1e-6


class Replicate(NamedTuple):
    """The same fit on a resampled set of scores."""

    share: float
    shape: float
    scale: float


class RateInterval(NamedTuple):
    """The rates that the resampled fits give. In simulations the true one lay inside in 7 to 9 of 10 cases."""

    low: float
    high: float


class Tail(BaseModel):
    """A generalised Pareto tail over `exceedances` scores above `start`; `replicates` tell how unsure it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: float
    share: float = Field(gt=0, lt=1)
    shape: float = Field(ge=-1, le=1)
    scale: float = Field(gt=0)
    exceedances: int = Field(ge=1)
    replicates: tuple[Replicate, ...] = Field(min_length=20, max_length=1000)

    def score(self, rate: float) -> float:
        """The score above which that share of good parts is expected; `rate` is above 0 and at most `share`."""
        if not 0 < rate <= self.share:
            raise ValueError(f"the tail speaks of rates up to {self.share:.3g}; got {rate}")
        steps = math.log(self.share / rate)
        if abs(self.shape) < _NEARLY_EXPONENTIAL:
            return self.start + self.scale * steps
        return self.start + self.scale * math.expm1(self.shape * steps) / self.shape

    def interval(self, score: float) -> RateInterval:
        """The share of good parts above a score, from the 1st to the 99th percentile of the replicates."""
        rates = sorted(_rate(one, score - self.start) for one in self.replicates)
        edge = round(EDGE * (len(rates) - 1))
        return RateInterval(rates[edge], rates[-1 - edge])


def _rate(fit: Replicate, above: float) -> float:
    if abs(fit.shape) < _NEARLY_EXPONENTIAL:
        return fit.share * math.exp(-above / fit.scale)
    inside = 1 + fit.shape * above / fit.scale
    return fit.share * inside ** (-1 / fit.shape) if inside > 0 else 0.0
