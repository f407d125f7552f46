"""The score of a picture from those of its places: the highest, or the mean of the few highest.

    score = mean of the max(1, round(share * P)) highest of P places

The highest alone is the papers'. On a fine grid of parts that differ from each other some place of a good part always
stands out by itself; a defect stands out in many places beside each other.
"""

from __future__ import annotations

from torch import Tensor


def picture_scores(places: Tensor, share: float) -> Tensor:
    """(B, P) -> (B,)."""
    count = max(1, round(share * places.shape[1]))
    if count == 1:
        return places.amax(dim=1)
    found: Tensor = places.topk(count, dim=1).values.mean(dim=1)
    return found
