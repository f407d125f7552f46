"""Terms of several detectors in, one score and the term that decided out; what is usual comes from unseen good images.

Conformal p-values of a term t by its values u_1 <= ... <= u_n on good images that its member has not seen:

    p(t) = (1 + #{u_i >= t}) / (n + 1)          up to the upper quarter, linear in -log p between the values
    p(t) = p(q) * exp(-(t - q) / b)             beyond q, with b the mean excess over q: strict order among defects

So a term's scale and sign are of no matter, and one that is surely wrong is not lost among many that are not.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

UPPER = 0.75  # the quantile q
SMALLEST = 1e-12


class Usual:
    """`usual` (n, T) terms of good images, `weights` (T,). See the module, and models.heads.combined.head."""

    def __init__(self, usual: Tensor, weights: Tensor, way: Literal["logs", "p_values"]) -> None:
        values = usual.double().cpu().sort(dim=0).values
        if way == "logs" and bool((values <= 0).any()):
            raise ValueError("scores that may be 0 or less have no logarithm: take sum=p_values for these members")
        self._weights, self._way = weights, way
        self._median = values.median(dim=0).values
        self._knots, self._heights, self._mean_excess = [], [], []
        for column in values.t():
            knots = column.unique_consecutive()
            count = len(column)
            above = torch.tensor([int((column >= knot).sum()) for knot in knots], dtype=torch.float64)
            surprise = -((1 + above) / (count + 1)).log()
            start = column[min(count - 1, int(UPPER * count))]
            kept = knots <= start
            excess = (column[column >= start] - start).mean()
            smallest = SMALLEST * (1 + start.abs())
            self._knots.append(knots[kept])
            self._heights.append(surprise[kept])
            self._mean_excess.append(torch.maximum(excess, smallest))

    def scores(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """Terms (B, T) -> scores (B,) in float64, and the number of the term that decided (B,); all on the CPU."""
        terms, weights = terms.detach().cpu().double(), self._weights
        if self._way == "logs":
            logs = terms.clamp_min(SMALLEST).log()
            shares = weights * (logs - self._median.log())
            return (weights * logs).sum(dim=1), shares.argmax(dim=1)
        shares = weights * torch.stack(
            [self.surprise(values, number) for number, values in enumerate(terms.t())], dim=1
        )
        return shares.sum(dim=1), shares.argmax(dim=1)

    def surprise(self, values: Tensor, term: int) -> Tensor:
        """-log p of values (B,) of that term."""
        knots, heights = self._knots[term], self._heights[term]
        right = torch.searchsorted(knots, values.contiguous()).clamp(1, max(1, len(knots) - 1))
        if len(knots) == 1:
            inside = heights.expand_as(values)
        else:
            low, high = knots[right - 1], knots[right]
            share = ((values - low) / (high - low)).clamp(0, 1)
            inside = torch.lerp(heights[right - 1], heights[right], share)
        beyond = (values - knots[-1]).clamp_min(0) / self._mean_excess[term]
        found: Tensor = inside + beyond
        return found
