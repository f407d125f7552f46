"""Whether numbers that come one after the other are alike, as those of one part are whose picture is taken again.

R. Bartels, "The rank version of von Neumann's ratio test for randomness", JASA 77 (1982): the squared differences of
neighbouring ranks against the variance of all. For exchangeable numbers the ratio is 2, with variance about 4 / n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.calibration.change_point import ranks_of


class Likeness(NamedTuple):
    """`correlation` of the ranks of neighbours, and the `chance` of one at least as high by luck."""

    correlation: float
    chance: float


def likeness(values: Sequence[float]) -> Likeness:
    """Finite numbers (n,) in order; nothing is said of less than ten, or of numbers that are all equal."""
    count = len(values)
    ranks = ranks_of(np.asarray(values, dtype=np.float64))
    spread = float(((ranks - ranks.mean()) ** 2).sum()) if count else 0.0
    if count < 10 or not spread:
        return Likeness(0.0, 1.0)
    ratio = float((np.diff(ranks) ** 2).sum()) / spread
    deviations = (2 - ratio) / math.sqrt(4 / count)
    return Likeness(1 - ratio / 2, 0.5 * math.erfc(deviations / math.sqrt(2)))
