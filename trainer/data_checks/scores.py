"""Heads that see nothing: scores of good pictures without spread, or painted defects that score like good pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.data_checks.result import CheckResult
from trainer.metrics import auroc

Scores = npt.NDArray[np.float32]
SMALLEST = 1e-30  # scores smaller than this are zero
SAME = 1e-6  # relative: scores closer to each other than this are one score
MOST_TIED = 0.5  # share of the scores that may repeat another one
LEAST_SEPARATION = 0.75  # AUROC of defects that nobody would miss; a head that sees nothing has 0.5


def check_scores(good: Scores) -> CheckResult:
    """Scores (n,) of different good pictures -> degenerate if some are not numbers, or most are one and the same."""
    if len(good) < 2:
        raise ValueError(f"the spread of scores needs at least 2 of them; got {len(good)}")
    if not np.isfinite(good).all():
        return CheckResult(True, (f"{int((~np.isfinite(good)).sum())} of {len(good)} scores are not numbers",))
    ordered = np.sort(good.astype(np.float64))
    scale = max(float(np.abs(ordered).max()), SMALLEST)
    tied = int((np.diff(ordered) <= SAME * scale).sum())
    if tied <= MOST_TIED * (len(good) - 1):
        return CheckResult(False, ())
    return CheckResult(
        True,
        (
            f"{tied} of {len(good)} scores of good pictures repeat another one to {SAME:g} of the largest: the head "
            "does not react to what differs between pictures, so no threshold means anything",
        ),
    )


def check_separation(good: Scores, painted: Scores, least: float = LEAST_SEPARATION) -> CheckResult:
    """Scores (n,) of good pictures and (m,) of plainly painted ones -> degenerate if the AUROC is below `least`.

    The painted ones are of trainer.painted.painted_set.plain_defects. A score that is not a number counts as unseen.
    """
    if not len(good) or not len(painted):
        raise ValueError(f"good and painted pictures are compared; got {len(good)} and {len(painted)} scores")
    scores = np.concatenate([good, painted]).astype(np.float32)
    anomalous = np.arange(len(scores)) >= len(good)
    broken = ~np.isfinite(scores)
    if broken.any():
        return CheckResult(True, (f"{int(broken.sum())} of {len(scores)} scores are not numbers",))
    found = auroc(anomalous, scores)
    above = int((painted > good.max()).sum())
    words = (
        f"painted defects score above good pictures in {found:.1%} of the pairs; {above} of {len(painted)} score above "
        f"all {len(good)} good pictures"
    )
    if found >= least:
        return CheckResult(False, ())
    return CheckResult(True, (f"{words}: at least {least:.0%} of the pairs are needed; the head does not see defects",))
