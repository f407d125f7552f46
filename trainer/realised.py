"""Held-out values and those of good images never used before in; whether each promised rate was kept out.

Two intervals are told apart. The Clopper-Pearson interval says what share of good parts may lie above this very
threshold. `chance_low` to `chance_high` is how many of the new images lie above where the promise holds, given that the
threshold itself is drawn: n held-out and m new exchangeable values, threshold at the k-th smallest, then the number
above is beta-binomial(m, n + 1 - k, k).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom

from models.calibration.conformal import conformal_quantile, conformal_rank
from trainer import metrics

RATES = (0.01, 0.02, 0.05, 0.1)
CAUGHT_AT = 0.05  # the false-reject rate for whose threshold a study says how many defective parts are found
Floats = npt.NDArray[np.float32]


def realised_rates(
    held_out: Floats, fresh: Floats, rates: Sequence[float] = RATES
) -> list[dict[str, float | int | bool]]:
    """For each rate: what was promised, how many of `fresh` lie above, both intervals, and whether it was kept.

    `inside`: the promise lies in the Clopper-Pearson interval. `kept`: not significantly more lie above than promised,
    by the beta-binomial interval's upper end.
    """
    ascending = tuple(float(value) for value in np.sort(held_out))
    found = []
    for rate in rates:
        threshold, promised = conformal_quantile(ascending, rate)
        count = int((fresh > threshold).sum())
        share = metrics.rate(count, len(fresh))
        rank = conformal_rank(len(ascending), rate)
        chance = betabinom(len(fresh), len(ascending) + 1 - rank, rank)
        low, high = (int(chance.ppf(level)) for level in (0.025, 0.975))
        found.append(
            {
                "rate_asked": rate,
                "rate_promised": promised,
                "threshold": threshold,
                "count": count,
                "total": len(fresh),
                "share": share.share,
                "low_95": share.low,
                "high_95": share.high,
                "inside": share.low <= promised <= share.high,
                "chance_low": low,
                "chance_high": high,
                "kept": count <= high,
            }
        )
    return found


def caught(held_out: Floats, defective: Floats, rate: float = CAUGHT_AT) -> float:
    """The share of `defective` scores above the threshold that `held_out` good ones give for this false-reject rate."""
    threshold, _ = conformal_quantile(tuple(float(value) for value in np.sort(held_out)), rate)
    return float((defective > threshold).mean())
