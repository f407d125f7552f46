"""Scores of held-out good images in, their fitted tail out (`models.calibration.tail`), or None where there are too
few.

Probability-weighted moments (Hosking and Wallis, Technometrics 29, 1987), which are steadier than maximum likelihood
where there are less than some hundred values, as there are here.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from models.calibration.tail import Replicate, Tail

FEWEST = 12  # scores under which no tail is fitted
UPPER_SHARE = 0.25  # of the scores make the tail,
FEWEST_EXCEEDANCES = 10  # or this many, if that is not more than half of them
REPLICATES = 200
STEEPEST = 0.5  # moments of a heavier tail do not exist, and a shorter one than -0.5 is an artefact of few values
Floats = npt.NDArray[np.float64]


def fit_tail(scores: npt.NDArray[np.float32] | Floats) -> Tail | None:
    """Scores (n,) -> their tail. None for less than FEWEST scores, or where the upper ones are all equal."""
    ascending = np.sort(scores.astype(np.float64))
    count = len(ascending)
    if count < FEWEST:
        return None
    upper = max(math.ceil(UPPER_SHARE * count), min(FEWEST_EXCEEDANCES, count // 2))
    start = float((ascending[count - upper - 1] + ascending[count - upper]) / 2)
    fitted = _fit(ascending, start)
    if fitted is None:
        return None
    random = np.random.default_rng(0)
    replicates = []
    for _ in range(REPLICATES):
        again = _fit(np.sort(random.choice(ascending, count)), start)
        if again is not None:
            replicates.append(again)
    if len(replicates) < REPLICATES // 2:
        return None
    return Tail(
        start=start,
        share=fitted.share,
        shape=fitted.shape,
        scale=fitted.scale,
        exceedances=upper,
        replicates=tuple(replicates),
    )


def _fit(ascending: Floats, start: float) -> Replicate | None:
    """One fit; the stored digits are all that is meant, so that a manifest stays readable."""
    above = ascending[ascending > start] - start
    if len(above) < 3 or above[0] == above[-1]:
        return None
    mean = float(above.mean())
    # a1 = E[X (1 - F(X))], with Hosking and Wallis' plotting positions.
    positions = (np.arange(1, len(above) + 1) - 0.35) / len(above)
    weighted = float((above * (1 - positions)).mean())
    shape = min(max(2 - mean / (mean - 2 * weighted), -STEEPEST), STEEPEST)
    scale = mean * (1 - shape)  # the mean of a generalised Pareto law is scale / (1 - shape)
    share = len(above) / (len(ascending) + 1)
    return Replicate(*(float(f"{value:.6g}") for value in (share, shape, scale)))
