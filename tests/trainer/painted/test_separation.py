"""AUROC and detection rates of painted defects by their kind, size and contrast."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from trainer.painted.separation import detection_rates, separation


class Known(NamedTuple):
    kind: str
    size_share: float
    contrast: float


GOOD = np.array([1, 2, 3, 4], np.float32)
DEFECTS = [Known("hole", 0.002, 0.1), Known("hole", 0.05, 0.4), Known("tint", 0.05, 0.05), Known("tint", 0.1, 0.05)]
SCORES = np.array([0.5, 9, 2.5, 2.5], np.float32)


def test_each_group_has_the_auroc_of_its_own_defects() -> None:
    found = separation(GOOD, SCORES, DEFECTS)
    assert found.by_kind == {"hole": 0.5, "tint": 0.5}
    assert found.by_size == {(0.001, 0.003): 0.0, (0.03, 0.1): pytest.approx(2 / 3)}
    assert found.by_kind_and_size[("hole", (0.03, 0.1))] == 1.0
    assert set(found.by_kind_and_size) == {("hole", (0.001, 0.003)), ("hole", (0.03, 0.1)), ("tint", (0.03, 0.1))}


def test_the_overall_figure_counts_each_kind_alike() -> None:
    many = [*DEFECTS[:1], *[Known("tint", 0.05, 0.05)] * 9]
    scores = np.array([9] + [0] * 9, np.float32)
    assert separation(GOOD, scores, many).overall == 0.5


def test_detection_rates_count_what_scores_above_the_threshold() -> None:
    found = {(rate.size, rate.contrast): rate.rate for rate in detection_rates(SCORES, DEFECTS, 2.5)}
    assert found[((0.03, 0.1), (0.3, 0.5))].share == 1.0
    assert found[((0.03, 0.1), (0.03, 0.07))].hits == 0
    assert found[((0.03, 0.1), (0.03, 0.07))].total == 2
    assert sum(rate.total for rate in found.values()) == 4


def test_scores_and_defects_must_belong_together() -> None:
    with pytest.raises(ValueError, match="3 scores of 4 defects"):
        separation(GOOD, SCORES[:3], DEFECTS)
    with pytest.raises(ValueError, match="3 scores of 4 defects"):
        detection_rates(SCORES[:3], DEFECTS, 1.0)
    with pytest.raises(ValueError, match="no good picture was scored"):
        separation(GOOD[:0], SCORES, DEFECTS)
