"""How parts came to be judged by people, as a chance that depends on the score alone; its inverse is a part's weight.

On a line every part is drawn as a spot check with some chance before its score is known, and every part that is REVIEW
or NG is looked at in any case. So a part with a score up to the threshold is judged by that chance, one above by 1: a
sample that is biased in a known way, a covariate shift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Drawing(NamedTuple):
    """How one part was chosen: with probability `share` where its score is at most `looked_at_above`, else surely."""

    share: float
    looked_at_above: float


class SelectionStep(BaseModel):
    """Scores up to `up_to`, and above the step before, were judged with this probability."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    up_to: float
    probability: float = Field(gt=0, le=1)


class Selection(BaseModel):
    """Steps ascending in score and probability; above the last one every part was judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[SelectionStep, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        levels = [step.up_to for step in self.steps]
        chances = [step.probability for step in self.steps]
        if any(low >= high for low, high in pairwise(levels)):
            raise ValueError("the steps of a selection must ascend in score")
        if any(low > high for low, high in pairwise(chances)):
            raise ValueError("the steps of a selection must not descend in probability")
        return self

    def probability(self, score: float) -> float:
        """The chance of a part with this score to be judged by people."""
        return next((step.probability for step in self.steps if score <= step.up_to), 1.0)

    def weight(self, score: float) -> float:
        """How many parts of the line one judged part with this score stands for."""
        return 1 / self.probability(score)

    def weight_above(self, score: float) -> float:
        """The weight of a part whose score is the least bit higher."""
        return 1 / next((step.probability for step in self.steps if score < step.up_to), 1.0)


def selection_of(drawings: Sequence[Drawing]) -> Selection | None:
    """The selection of parts that were chosen in these ways, in any order; None where low scores never were.

    Shares and thresholds may change while parts are judged. They do not depend on the part, so each part has met one of
    them at random, and what counts is their mean at each score.
    """
    counted: dict[Drawing, int] = {}
    for drawing in drawings:
        counted[drawing] = counted.get(drawing, 0) + 1
    levels = sorted({drawing.looked_at_above for drawing in counted})
    steps = []
    for level in levels:
        surely = sum(count for drawing, count in counted.items() if level > drawing.looked_at_above)
        by_chance = sum(count * each.share for each, count in counted.items() if level <= each.looked_at_above)
        steps.append((level, min(1.0, (surely + by_chance) / len(drawings))))
    if not steps or not steps[0][1] > 0 or not all(math.isfinite(level) for level in levels):
        return None
    return Selection(steps=tuple(SelectionStep(up_to=level, probability=chance) for level, chance in steps))
