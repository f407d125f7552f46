"""Whether numbers in the order in which they came can be of one kind, and where they change if not.

A. N. Pettitt, "A non-parametric approach to the change-point problem", Applied Statistics 28 (1979): the largest
difference between what came before and after any place, counted by ranks. Numbers that are exchangeable give it by
chance with a probability of at most about 2 exp(-6 K^2 / (n^3 + n^2)), whatever their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class ChangePoint(NamedTuple):
    """`first` is the place of the first number that is of another kind; `chance` that of such a difference by luck."""

    first: int
    chance: float
    higher: bool  # whether those from `first` on are the higher ones


def change_point(values: Sequence[float]) -> ChangePoint | None:
    """Finite numbers (n,) in order -> where they differ most before and after; None for less than two."""
    count = len(values)
    if count < 2:
        return None
    ranks = ranks_of(np.asarray(values, dtype=np.float64))
    difference = (2 * np.cumsum(ranks) - (count + 1) * np.arange(1, count + 1))[:-1]
    place = int(np.abs(difference).argmax())
    largest = abs(float(difference[place]))
    chance = min(1.0, 2 * math.exp(-6 * largest**2 / (count**3 + count**2)))
    return ChangePoint(place + 1, chance, bool(difference[place] < 0))


def ranks_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From 1; equal numbers share their mean rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: npt.NDArray[np.float64] = (ends - (counts - 1) / 2)[which]
    return ranks
