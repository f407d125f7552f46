"""The bets by which drift is found, made from the number of calibration images; each is fair while nothing drifts.

A new value falls below the lowest, above the highest or between the two cuts of its reference. Between them its place u
(0 to 1) is uniform on good parts; a bet is another density for u. Outside, defects may lie as well: there a bet is on
the *share* of parts, and pays only if that is higher than calibration error and the defects allowed for can explain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TAIL = 0.05  # share of the reference beyond each cut
CONFIDENCE = 0.99  # that the true share beyond a cut is not above the bound
LARGEST_BOUND = 0.98
KEPT_UNIFORM = 0.05  # of every density, so that no single part can ruin a bet

Floats = npt.NDArray[np.float64]


class Bet(NamedTuple):
    """One way to drift: the density of u, `steep` times denser at one end, and a share of parts beyond a cut.

    `side` is up (u near 1), down, wide (both ends), narrow (the middle) or none (uniform). `beyond` is where the share
    between the bound (0) and every part (1) is expected, on the side of the bet; None does not wager on it.
    """

    side: str
    steep: float = 1.0
    beyond: float | None = None


_ONE_SIDED = (
    (1.35, None),
    (2.0, None),
    (4.0, None),
    (2.0, 0.15),
    (4.0, 0.4),
    (4.0, 0.95),
)
BETS: tuple[Bet, ...] = (
    *(Bet(side, steep, beyond) for side in ("up", "down") for steep, beyond in _ONE_SIDED),
    Bet("wide", 4.0),
    Bet("narrow"),
)


class Book:
    """All bets at once, for a reference of n values with `tail` of its gaps beyond each cut.

    `beyond_low`, `beyond_high` and `between` (J,) are what each bet pays for a part's region; between the cuts this is
    multiplied by the density ratio that `mass` gives.
    """

    def __init__(self, count: int, tail: int, defect_share: float) -> None:
        bound = min(LARGEST_BOUND, share_bound(tail, count) + defect_share)
        ups, downs = (np.array([bet.side == side for bet in BETS]) for side in ("up", "down"))
        wager = np.array([bet.beyond is not None for bet in BETS])
        asked = np.array([bet.beyond or 0.0 for bet in BETS])
        share = bound + (1 - bound) * asked
        rest = np.where(wager, (1 - share) / (1 - bound), 1.0)
        self.beyond_low = np.where(wager & downs, share / bound, rest)
        self.beyond_high = np.where(wager & ups, share / bound, rest)
        self.between = rest
        self._steep = np.array([bet.steep for bet in BETS])
        wide, narrow = (np.array([bet.side == side for bet in BETS]) for side in ("wide", "narrow"))
        self._up = ups + 0.5 * wide
        self._down = downs + 0.5 * wide
        self._narrow = narrow.astype(np.float64)

    def mass(self, low: Floats, high: Floats) -> Floats:
        """Places u from `low` to `high`, (m,) each -> what each bet's density has there, (m, J)."""
        return self._below(high[:, None]) - self._below(low[:, None])

    def _below(self, u: Floats) -> Floats:
        up = u**self._steep
        down = 1 - (1 - u) ** self._steep
        bet: Floats = self._up * up + self._down * down + self._narrow * (u * u * (3 - 2 * u))
        return KEPT_UNIFORM * u + (1 - KEPT_UNIFORM) * bet


def share_bound(tail: int, count: int) -> float:
    """What the true share beyond `tail` of `count + 1` gaps stays under with CONFIDENCE.

    That share is Beta(tail, count + 1 - tail) over draws of the reference, whatever the distribution; and
    P(Beta(j, n + 1 - j) <= x) = P(Binomial(n, x) >= j).
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        fewer = sum(_binomial(count, hits, middle) for hits in range(tail))
        low, high = (middle, high) if 1 - fewer < CONFIDENCE else (low, middle)
    return high


def _binomial(count: int, hits: int, share: float) -> float:
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways + hits * math.log(share) + (count - hits) * math.log1p(-share))
