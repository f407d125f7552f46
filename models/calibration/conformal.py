"""Scores and maps of held-out good images in; p-values, thresholds, decisions and the map's fixed scale out.

Split-conformal prediction: if a new good image is exchangeable with the n held-out ones, then
P(p_value <= a) <= a, and rejecting scores above the k-th smallest held-out score, k = ceil((n + 1)(1 - a)), rejects a
good one with probability at most a. No image of a defect is used, and no shape of the distribution is assumed.
With n images no rate under 1 / (n + 1) can be promised, and the words of the threshold say so. Below that a fitted
tail (`models.calibration.tail`) can be asked for; such a threshold is never lower than the highest held-out score, so
that what
counting promises still holds, and its origin begins with "tail fit" in place of "counted".

Cross-conformal prediction (V. Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 74,
2015): the scores may be of all n good images in place of a part, each by a head that was fitted to the other folds. The
rank is counted in the same way. A new part that is judged by the heads of the folds lies above with probability at most
2a and a little more (CV+; Barber, Candes, Ramdas and Tibshirani, "Predictive inference with the jackknife+", Annals of
Statistics 49, 2021, theorem 4). Here one head that was fitted to all images judges it, for which no such bound holds
whatever the method: the rate is a where one fold more or less hardly moves a new part's score, and less than a where
more images to fit to lower it. benchmarks/fold_promises.py measures it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from models.calibration.selection import Selection
from models.calibration.tail import REACH, Tail
from models.calibration.weighted import WeightedScores

Decision = Literal["OK", "REVIEW", "NG"]
DEFAULT_REVIEW_RATE = 0.05
DEFAULT_NG_RATE = 0.01
DEFAULT_MAP_RATE = 0.05


class Threshold(NamedTuple):
    """Scores above `value` are rejected. `rate_promised` is the larger of what was asked and what n can promise."""

    value: float
    rate_asked: float
    rate_promised: float
    origin: str


class Thresholds(NamedTuple):
    """Scores above `ng` are NG; above `review` REVIEW. `review` is None where reviewing is switched off."""

    review: Threshold | None
    ng: Threshold

    def decide(self, score: float) -> Decision:
        """The decision on one score. Raises ValueError for a score that is no number: it must never become OK."""
        if not math.isfinite(score):
            raise ValueError(f"the score is {score}, not a number to decide on")
        if score > self.ng.value:
            return "NG"
        if self.review is not None and score > self.review.value:
            return "REVIEW"
        return "OK"


class MapScale(BaseModel):
    """The fixed scale of a product's maps, in map units: grey 0 is `low`, grey 255 is `high`, lit is over `threshold`.

    `low` is the median over the held-out images' pixels, `threshold` sits in the middle (grey 128): at most
    `rate_promised` of good images have any pixel above it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    threshold: float
    rate_promised: float = Field(gt=0, le=1)


class Calibration(BaseModel):
    """The held-out good images' scores, ascending, with the two default false-reject rates and the map's scale.

    `map_peaks` are the same images' highest map values, ascending (empty in artifacts of version 0.1). `tail` is there
    where the set is small or the trainer was asked for it. `selection` is there where the scores are those of parts of
    a line that people have confirmed: then each score weighs what `models.calibration.weighted` says. `folds` is there
    where no image was held out: each score is of a head that was fitted to the other folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[float, ...] = Field(min_length=1)
    review_rate: float = Field(default=DEFAULT_REVIEW_RATE, gt=0, lt=1)
    ng_rate: float = Field(default=DEFAULT_NG_RATE, gt=0, lt=1)
    map_scale: MapScale
    map_peaks: tuple[float, ...] = ()
    map_rate: float = Field(default=DEFAULT_MAP_RATE, gt=0, lt=1)  # asked for; the scale says what is promised
    tail: Tail | None = None
    selection: Selection | None = None
    folds: int | None = Field(default=None, ge=2)

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A calibration of images drawn at random is written as it was before there were others."""
        written: dict[str, object] = handler(self)
        added = ("selection", "folds")
        return {name: value for name, value in written.items() if name not in added or value is not None}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(not math.isfinite(score) for score in self.scores):
            raise ValueError("calibration scores must be finite")
        if list(self.scores) != sorted(self.scores) or list(self.map_peaks) != sorted(self.map_peaks):
            raise ValueError("calibration scores and map peaks must be in ascending order")
        if self.ng_rate > self.review_rate:
            raise ValueError("the NG rate must not be above the REVIEW rate")
        if self.selection is not None and self.tail is not None:
            raise ValueError("a tail is fitted to scores drawn at random, and not to a selection")
        if self.selection is not None and self.folds is not None:
            raise ValueError("parts of a line are not judged by folds")
        return self

    @cached_property
    def weighted(self) -> WeightedScores | None:
        """The scores with their weights; None where all weigh the same."""
        return None if self.selection is None else WeightedScores(self.scores, self.selection)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, without what was worked out from the fields as they were."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("weighted", None)
        return copied

    @property
    def images_words(self) -> str:
        """How many images the thresholds are counted on, and of which kind."""
        return self._images_of("images")

    def _images_of(self, kind: str) -> str:
        count = len(self.scores)
        return f"{count} held-out {kind}" if self.folds is None else f"{count} {kind} in {self.folds} folds"

    @property
    def even_scores(self) -> tuple[float, ...]:
        """Scores as if drawn at random, ascending: all of them, or of weighted ones those that stay by their weight."""
        return self.scores if self.weighted is None else self.weighted.even()

    def p_value(self, score: float) -> float:
        """Conformal p-value: (1 + number of held-out scores >= score) / (n + 1), or weighted. Uniform on good images.

        Raises ValueError for NaN, which would compare as the most usual score of all.
        """
        if math.isnan(score):
            raise ValueError(f"the score is {score}, not a number to compare")
        if self.weighted is not None:
            return self.weighted.p_value(score)
        at_least = len(self.scores) - bisect.bisect_left(self.scores, score)
        return (1 + at_least) / (len(self.scores) + 1)

    @property
    def smallest_rate(self) -> float:
        """The smallest false-reject rate that this many held-out images can promise: 1 / (n + 1), or weighted."""
        return 1 / (len(self.scores) + 1) if self.weighted is None else self.weighted.smallest_rate

    @property
    def smallest_fitted_rate(self) -> float | None:
        """The smallest rate that the fitted tail speaks of, or None without one."""
        return None if self.tail is None else self.smallest_rate / REACH

    def threshold(self, rate: float) -> Threshold:
        """The counted threshold for a false-reject rate in (0, 1); see Threshold for a rate too small to promise."""
        if not 0 < rate < 1:
            raise ValueError(f"a false-reject rate lies between 0 and 1; got {rate}")
        if self.weighted is not None:
            return _weighted_threshold(self.weighted, rate, len(self.scores))
        value, promised = conformal_quantile(self.scores, rate)
        words = self._counted_words(promised)
        if promised > rate:
            words += f" ({rate:.3g} was asked for and needs {math.ceil(1 / rate) - 1} images)"
        return Threshold(value, rate, promised, words)

    def _counted_words(self, promised: float) -> str:
        count, most = len(self.scores), f"at most {promised:.3g} of good parts above"
        if self.folds is None:
            return f"counted, split-conformal on {count} held-out good images: {most}"
        return (
            f"counted, cross-conformal on {count} good images in {self.folds} folds, each judged by a fit to the "
            f"others: {most}, if the fit to all images judges new parts as those fits do"
        )

    def fitted_threshold(self, rate: float) -> Threshold:
        """The threshold for a rate below `smallest_rate`, from the fitted tail: an extrapolation that says so.

        Raises ValueError where there is no tail, or the rate is below `smallest_fitted_rate`.
        """
        smallest = self.smallest_fitted_rate
        if self.tail is None or smallest is None or not smallest <= rate < self.smallest_rate:
            raise ValueError(f"the fitted tail does not speak of the rate {rate}")
        value = max(self.tail.score(min(rate, self.tail.share)), self.scores[-1])
        low, high = self.tail.interval(value)
        words = (
            f"tail fit on the upper {self.tail.exceedances} of {self._images_of('good images')}: {rate:.3g} of "
            f"good parts expected above, {low:.2g} to {high:.2g} by resampling; {self.smallest_rate:.3g} is promised"
        )
        return Threshold(value, rate, self.smallest_rate, words)

    def thresholds(self, max_false_reject: float | None = None, *, review: bool = True) -> Thresholds:
        """The thresholds to decide by: the stored rates, or NG at `max_false_reject`.

        REVIEW keeps its stored rate, or the NG rate where that is the larger one. Only a `max_false_reject` that
        counting cannot promise is answered from the fitted tail, where there is one: the stored rates never are.
        """
        ng_rate = self.ng_rate if max_false_reject is None else max_false_reject
        fitted = self.smallest_fitted_rate
        reached = max_false_reject is not None and fitted is not None and fitted <= ng_rate < self.smallest_rate
        ng = self.fitted_threshold(ng_rate) if reached else self.threshold(ng_rate)
        return Thresholds(self._review(max(self.review_rate, ng_rate), ng) if review else None, ng)

    def _review(self, rate: float, ng: Threshold) -> Threshold:
        """The threshold of REVIEW, whose origin says so where it is not below that of NG."""
        found = self.threshold(rate)
        if found.value < ng.value:
            return found
        words = f"{found.origin}; REVIEW is never given, as NG has no higher threshold"
        needed = images_for_review(rate, ng.rate_asked) if self.weighted is None else None
        if needed is not None and needed > len(self.scores):
            kind = "held-out images" if self.folds is None else "images"
            words += f": {needed} {kind} would have one, {needed - len(self.scores)} more"
        return found._replace(origin=words)


def _weighted_threshold(weighted: WeightedScores, rate: float, count: int) -> Threshold:
    value, promised, effective = weighted.told(rate)
    words = (
        f"counted, weighted split-conformal on {count} parts of the line confirmed good, which tell it as "
        f"{effective:.0f} drawn at random would: at most {promised:.3g} of good parts above"
    )
    if promised > rate:
        words += f" ({rate:.3g} was asked for and needs more of them)"
    return Threshold(value, rate, promised, words)


def images_for_review(review_rate: float, ng_rate: float) -> int | None:
    """The fewest held-out images whose counted thresholds for the two rates differ; None for equal rates."""
    if review_rate <= ng_rate:
        return None
    # From here on the ranks differ whatever rounding does; below, the first that differ are looked for.
    enough = math.ceil(2 / (review_rate - ng_rate)) + 1
    return next((n for n in range(2, enough) if conformal_rank(n, review_rate) < conformal_rank(n, ng_rate)), enough)


def conformal_rank(count: int, rate: float) -> int:
    """Which of `count` ascending draws, from 1, is the threshold for that rate; the last where none can promise it."""
    return min(count, max(1, math.ceil((count + 1) * (1 - rate) - 1e-9)))


def conformal_quantile(ascending: tuple[float, ...], rate: float) -> tuple[float, float]:
    """(value that at most `rate` of new draws exceed, rate promised); the largest draw where n is too small."""
    count = len(ascending)
    return ascending[conformal_rank(count, rate) - 1], max(rate, 1 / (count + 1))


def calibrate(
    scores: npt.NDArray[np.float32],
    maps: npt.NDArray[np.float32],
    *,
    review_rate: float = DEFAULT_REVIEW_RATE,
    ng_rate: float = DEFAULT_NG_RATE,
    map_rate: float = DEFAULT_MAP_RATE,
    tail: Tail | None = None,
    folds: int | None = None,
) -> Calibration:
    """Scores (n,) and maps (n, S, S) of good images by heads that have not seen them -> Calibration.

    `folds` says how many such heads there were, where it was not one and the same.
    """
    peaks = tuple(float(peak) for peak in np.sort(maps.reshape(len(maps), -1).max(axis=1)))
    lit, promised = conformal_quantile(peaks, map_rate)
    low = min(float(np.median(maps)), lit)
    # A map that is flat on every held-out image still needs a scale with some width.
    half = max(lit - low, 1e-6 * max(abs(lit), 1e-6))
    return Calibration(
        scores=tuple(float(score) for score in np.sort(scores)),
        review_rate=review_rate,
        ng_rate=ng_rate,
        map_scale=MapScale(low=low, high=low + 2 * half, threshold=low + half, rate_promised=promised),
        map_peaks=peaks,
        map_rate=map_rate,
        tail=tail,
        folds=folds,
    )
