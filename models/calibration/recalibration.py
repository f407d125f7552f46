"""The arithmetic by which held-out good images become a calibration, for a training and for any later recalibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.calibration.conformal import Calibration, calibrate
from models.calibration.tail_fit import fit_tail


class Rates(Protocol):
    """What decides a calibration beside the images: false-reject rates, and whether a tail is fitted in any case."""

    @property
    def review_rate(self) -> float: ...
    @property
    def ng_rate(self) -> float: ...
    @property
    def map_rate(self) -> float: ...
    @property
    def tail_fit(self) -> bool: ...


@dataclass(frozen=True)
class ChosenRates:
    """Rates as they are given. See Rates."""

    review_rate: float
    ng_rate: float
    map_rate: float
    tail_fit: bool = False


class ScoresAndMaps(NamedTuple):
    """Scores (n,) and maps (n, S, S) of the same images, before any calibration.

    `groups` names for each the group of channels that decided; it is empty where that is not asked or there is none.
    """

    scores: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]
    groups: tuple[str | None, ...] = ()


def calibrated(judged: ScoresAndMaps, rates: Rates, folds: int | None = None) -> Calibration:
    """The calibration of held-out images, or of all by `folds`. A set too small to promise the NG rate gets a fitted
    tail beside it."""
    small = rates.ng_rate * (len(judged.scores) + 1) < 1
    return calibrate(
        judged.scores,
        judged.maps,
        review_rate=rates.review_rate,
        ng_rate=rates.ng_rate,
        map_rate=rates.map_rate,
        tail=fit_tail(judged.scores) if small or rates.tail_fit else None,
        folds=folds,
    )


def rates_of(
    calibration: Calibration,
    *,
    review_rate: float | None = None,
    ng_rate: float | None = None,
    map_rate: float | None = None,
    tail_fit: bool = False,
) -> ChosenRates:
    """The rates of a calibration, each replaced where another one is given."""
    return ChosenRates(
        review_rate=calibration.review_rate if review_rate is None else review_rate,
        ng_rate=calibration.ng_rate if ng_rate is None else ng_rate,
        map_rate=calibration.map_rate if map_rate is None else map_rate,
        tail_fit=tail_fit,
    )


def rejected_before(old: Calibration, judged: ScoresAndMaps) -> int:
    """How many of the new good images the old calibration calls NG."""
    return int((judged.scores > old.thresholds().ng.value).sum())


def calibration_words(calibration: Calibration) -> Iterator[str]:
    """What a person is told of a calibration: both thresholds, and a warning where the set is small."""
    thresholds = calibration.thresholds()
    for decision, threshold in (("REVIEW", thresholds.review), ("NG", thresholds.ng)):
        if threshold is not None:
            yield f"{decision} above {threshold.value:.4g}: {threshold.origin}"
    rate = calibration.ng_rate
    if rate >= calibration.smallest_rate:
        return
    yield (
        f"beware: {calibration.images_words} are few: no false-reject rate under "
        f"{calibration.smallest_rate:.3g} can be promised, and NG is above the highest of them"
    )
    fitted = calibration.smallest_fitted_rate
    if fitted is not None and rate >= fitted:
        estimate = calibration.fitted_threshold(rate)
        yield f"max_false_reject={rate:g} would put NG above {estimate.value:.4g}: {estimate.origin}"
