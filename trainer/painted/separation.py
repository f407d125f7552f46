"""How well scores tell painted pictures from good ones, by the defects' kind, size and contrast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from trainer.metrics import Rate, auroc, rate

Scores = npt.NDArray[np.float32]
Bin = tuple[float, float]  # from (inclusive) and to (exclusive; the last one inclusive)
SIZE_BINS: tuple[Bin, ...] = tuple(pairwise((0.001, 0.003, 0.01, 0.03, 0.1)))  # shares of the picture's area
CONTRAST_BINS: tuple[Bin, ...] = tuple(pairwise((0.03, 0.07, 0.15, 0.3, 0.5)))  # shares of white
Key = TypeVar("Key")


class Defect(Protocol):
    """What is known of a painted defect without its pixels; Painted has it."""

    @property
    def kind(self) -> str: ...
    @property
    def size_share(self) -> float: ...
    @property
    def contrast(self) -> float: ...


class Separation(NamedTuple):
    """AUROC, 0 to 1, of good against painted pictures. `overall` is the mean over kinds, so that each counts alike."""

    overall: float
    by_kind: Mapping[str, float]
    by_size: Mapping[Bin, float]
    by_kind_and_size: Mapping[tuple[str, Bin], float]


class DetectionRate(NamedTuple):
    """The share of the painted defects of these sizes and contrasts that score above the threshold."""

    size: Bin
    contrast: Bin
    rate: Rate


def separation(good: Scores, painted: Scores, defects: Sequence[Defect]) -> Separation:
    """`good` (n,) scores of good pictures, `painted` (m,) those of the m `defects`. Groups without defects are absent.

    Raises ValueError where there is nothing to compare, or the numbers of scores and defects differ.
    """
    _check(painted, defects)
    if len(good) == 0:
        raise ValueError("no good picture was scored: painted ones can be compared with nothing")

    def by(key: Callable[[Defect], Key]) -> dict[Key, float]:
        return {name: _auroc(good, painted[rows]) for name, rows in _grouped(defects, key).items()}

    kinds = by(lambda defect: defect.kind)
    return Separation(
        overall=float(np.mean(list(kinds.values()))),
        by_kind=kinds,
        by_size=by(lambda defect: _bin(defect.size_share, SIZE_BINS)),
        by_kind_and_size=by(lambda defect: (defect.kind, _bin(defect.size_share, SIZE_BINS))),
    )


def detection_rates(painted: Scores, defects: Sequence[Defect], threshold: float) -> tuple[DetectionRate, ...]:
    """For each bin of size and contrast in which there are defects: how many of them score above the threshold."""
    _check(painted, defects)
    groups = _grouped(
        defects, lambda defect: (_bin(defect.size_share, SIZE_BINS), _bin(defect.contrast, CONTRAST_BINS))
    )
    return tuple(
        DetectionRate(size, contrast, rate(int((painted[rows] > threshold).sum()), len(rows)))
        for (size, contrast), rows in groups.items()
    )


def side_px(share: float, area: int) -> int:
    """The side, in pixels, of a square that has this share of a picture of `area` pixels; 1 at least."""
    return max(1, round(float(np.sqrt(share * area))))


def _check(painted: Scores, defects: Sequence[Defect]) -> None:
    if len(painted) != len(defects) or not len(painted):
        raise ValueError(f"each painted defect has one score; got {len(painted)} scores of {len(defects)} defects")


def _auroc(good: Scores, painted: Scores) -> float:
    anomalous = np.arange(len(good) + len(painted)) >= len(good)
    return auroc(anomalous, np.concatenate([good, painted]).astype(np.float32))


def _grouped(defects: Sequence[Defect], key: Callable[[Defect], Key]) -> dict[Key, list[int]]:
    """Row numbers by key, keys in order."""
    rows: dict[Key, list[int]] = {}
    for number, defect in enumerate(defects):
        rows.setdefault(key(defect), []).append(number)
    return {name: rows[name] for name in sorted(rows, key=repr)}


def _bin(value: float, bins: Sequence[Bin]) -> Bin:
    """The bin that holds the value; the first or last one for values beyond."""
    return next((one for one in bins if value < one[1]), bins[-1])
