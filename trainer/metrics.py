"""Scores, maps and labels in; AUROC, PRO and rates with their intervals out. AUROC and ROC are scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
PRO_LIMIT = 0.3  # false-positive rate up to which PRO is integrated (Bergmann et al., CVPR 2020)
PRO_STEPS = 300


class Rate(NamedTuple):
    """`hits` of `total` with the exact (Clopper-Pearson) 95 % interval of the share."""

    hits: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """hits / total."""
        return self.hits / self.total


def rate(count: int, total: int) -> Rate:
    """The share with its interval; total must be positive."""
    interval = binomtest(count, total).proportion_ci(method="exact")
    return Rate(count, total, float(interval.low), float(interval.high))


def auroc(anomalous: npt.NDArray[np.bool_], scores: Floats) -> float:
    """Area under the ROC curve, 0 to 1."""
    return float(roc_auc_score(anomalous, scores))


def pixel_auroc(masks: Sequence[Mask], maps: Sequence[Floats]) -> float:
    """AUROC over all pixels of all images together, good ones included."""
    labels = np.concatenate([mask.ravel() for mask in masks])
    return auroc(labels, np.concatenate([anomaly_map.ravel() for anomaly_map in maps]))


class ProCurve(NamedTuple):
    """Mean overlap of the defect regions at each false-positive rate, both from 0 to 1."""

    rates: npt.NDArray[np.float64]
    overlaps: npt.NDArray[np.float64]

    @property
    def area(self) -> float:
        """PRO: the area under the curve divided by its widest rate, 0 to 1."""
        return float(np.trapezoid(self.overlaps, self.rates) / self.rates[-1])


def pro(masks: Sequence[Mask], maps: Sequence[Floats], limit: float = PRO_LIMIT) -> float:
    """See ProCurve.area."""
    return pro_curve(masks, maps, limit).area


def pro_curve(masks: Sequence[Mask], maps: Sequence[Floats], limit: float = PRO_LIMIT) -> ProCurve:
    """The per-region-overlap curve up to a false-positive rate.

    Every connected defect region counts alike, however large (Bergmann et al., "Uninformed Students", section 4.1).
    """
    quiet = np.sort(np.concatenate([values[~mask] for mask, values in zip(masks, maps, strict=True)]))
    regions = [np.sort(values) for mask, image in zip(masks, maps, strict=True) for values in _regions(mask, image)]
    if not regions:
        raise ValueError("PRO needs at least one defect region")
    rates = np.linspace(0, limit, PRO_STEPS + 1)
    places = np.clip(np.ceil((1 - rates) * len(quiet)).astype(int) - 1, 0, len(quiet) - 1)
    overlaps = np.zeros(len(rates))
    for values in regions:
        overlaps += 1 - np.searchsorted(values, quiet[places], side="right") / len(values)
    return ProCurve(rates, overlaps / len(regions))


def _regions(mask: Mask, values: Floats) -> list[Floats]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    return [values[labels == number] for number in range(1, count + 1)]
