"""What a counted share says of the true one, with confidence; also where the counted parts have weights.

Clopper and Pearson (Biometrika 26, 1934): the interval's ends are quantiles of beta distributions. Korn and Graubard
(Survey Methodology 24, 1998): with weights the same, of the number of parts of equal weight that would tell the share
as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_STEPS = 60  # halvings of [0, 1]: far below what a float can tell
_TERMS = 500


class ShareInterval(NamedTuple):
    """A share and its interval, all from 0 to 1."""

    share: float
    low: float
    high: float


def clopper_pearson(count: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share of which `count` of `total` were counted; neither need be whole. (0, 1) for no parts."""
    tail = (1 - confidence) / 2
    low = 0.0 if count <= 0 else _beta_quantile(tail, count, total - count + 1)
    high = 1.0 if count >= total else _beta_quantile(1 - tail, count + 1, total - count)
    return low, high


def weighted_share(
    hits: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64], weight_of_a_hit: float | None = None
) -> ShareInterval:
    """The share of the line that `hits` (n,) stand for, with its interval; (0, 0, 1) for no parts.

    Where nothing was hit, the number of equal parts is that of one hit more, which would weigh `weight_of_a_hit` (as
    the heaviest part, where that is not known).
    """
    total = float(weights.sum())
    if not total:
        return ShareInterval(0.0, 0.0, 1.0)
    share = float(weights[hits].sum()) / total
    if not hits.any():
        more = weight_of_a_hit or float(weights.max())
        effective = _effective(np.append(hits, True), np.append(weights, more)) - 1
    elif hits.all():
        effective = total**2 / float((weights**2).sum())  # Kish's number, which no share enters
    else:
        effective = _effective(hits, weights)
    effective = min(effective, total)
    return ShareInterval(share, *clopper_pearson(share * effective, effective))


def _effective(hits: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]) -> float:
    """How many parts of equal weight tell the share as well: by the variance of Hajek's estimator, linearised."""
    total = float(weights.sum())
    share = float(weights[hits].sum()) / total
    return share * (1 - share) * total**2 / float((weights**2 * (hits - share) ** 2).sum())


def _beta_quantile(level: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if incomplete_beta(middle, a, b) < level else (low, middle)
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, the distribution function of Beta(a, b), for a, b > 0.

    Continued fraction by Lentz' method (Numerical Recipes, 6.4). The service has no SciPy.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    fraction = d
    for term in range(1, _TERMS):
        even = term * (b - term) * x / ((a + 2 * term - 1) * (a + 2 * term))
        odd = -(a + term) * (a + b + term) * x / ((a + 2 * term) * (a + 2 * term + 1))
        for numerator in (even, odd):
            d = 1 / _apart(1 + numerator * d)
            c = _apart(1 + numerator / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction / a


def _apart(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
