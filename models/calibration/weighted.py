"""Conformal prediction from parts that were not judged at random but by a known chance.

Tibshirani, Barber, Candes, Ramdas, "Conformal prediction under covariate shift", NeurIPS 2019: where judged parts are
drawn from the line's with a probability that is known, weights w = 1 / probability make up for it exactly,

    p(s) = (sum of w_i over s_i >= s, + w(s)) / (sum of all w_i, + w(s)),        P(p <= a) <= a

for a new part of the line with score s. With equal weights this is (1 + number of s_i >= s) / (n + 1). Where w falls
with the score, as it does here, so does p, and a threshold says the same as a p-value.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.calibration.selection import Selection

MOST_RATES = 64
_ROUNDING = 1e-9


class Told(NamedTuple):
    """What the scores say of one rate: see `WeightedScores.quantile` and `WeightedScores.effective`."""

    value: float
    rate_promised: float
    effective: float


class WeightedScores:
    """Ascending scores (n,), n at least 1, of good parts that were chosen by `selection`."""

    def __init__(self, ascending: Sequence[float], selection: Selection) -> None:
        self._scores = ascending
        self._selection = selection
        self._weights: npt.NDArray[np.float64] = np.array([selection.weight(score) for score in ascending])
        self.told = lru_cache(MOST_RATES)(self._told)
        self._from: list[float] = [
            *np.cumsum(self._weights[::-1])[::-1].tolist(),
            0.0,
        ]  # (n + 1,): what weighs from each score on

    @property
    def total(self) -> float:
        """How many parts of the line the scores stand for."""
        return self._from[0]

    @property
    def smallest_rate(self) -> float:
        """The smallest false-reject rate that can be promised: the p-value of a score above all."""
        return self.rate_above(max(self._scores[-1], self._selection.steps[-1].up_to))

    def p_value(self, score: float) -> float:
        """See the module."""
        weight = self._selection.weight(score)
        return (self._from[bisect.bisect_left(self._scores, score)] + weight) / (self.total + weight)

    def rate_above(self, value: float) -> float:
        """At most this share of good parts scores above `value`: the p-value of a score that is just higher."""
        weight = self._selection.weight_above(value)
        return (self._from[bisect.bisect_right(self._scores, value)] + weight) / (self.total + weight)

    def quantile(self, rate: float) -> tuple[float, float]:
        """(value that at most `rate` of new good parts exceed, rate promised); the highest where none can promise it.

        p changes at a score and at a step of the selection only, so one of these is the threshold.
        """
        found = sorted({*self._scores, *(step.up_to for step in self._selection.steps)})
        enough = bisect.bisect_left(found, True, key=lambda value: self.rate_above(value) <= rate * (1 + _ROUNDING))
        value = found[min(enough, len(found) - 1)]
        return value, max(rate, self.smallest_rate)

    def effective(self, rate: float) -> float:
        """How many parts drawn at random would tell the threshold for `rate` as well as these do.

        The variance of the weighted share above it (Hajek's estimator, linearised; the new part counts as one above, as
        it does in p) is compared with rate (1 - rate) / n of n parts of equal weight. Never more than the parts that
        these stand for.
        """
        value, _ = self.quantile(rate)
        new = self._selection.weight_above(value)
        weights = np.append(self._weights, new)
        above = np.append(np.asarray(self._scores) > value, True)
        variance = float((weights**2 * (above - rate) ** 2).sum()) / float(weights.sum()) ** 2
        return min(rate * (1 - rate) / variance - 1, self.total)

    def _told(self, rate: float) -> Told:
        """`quantile` and `effective` for a rate; kept for some rates, as every request asks for its own."""
        return Told(*self.quantile(rate), self.effective(rate))

    def even(self) -> tuple[float, ...]:
        """Those scores that are left where each stays with probability (least weight over its own) inverted.

        Ascending, and as if drawn at random from the line: for whoever compares without weights. Systematic sampling,
        so the same scores always.
        """
        kept = np.floor(np.cumsum(self._weights / self._weights.max()) + 0.5)
        before = np.concatenate([[0.0], kept[:-1]])
        return tuple(score for score, stays in zip(self._scores, kept > before, strict=True) if stays)
