"""Nearest neighbours on stand-in activations: what lies far from the training images scores high, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backends.base import SourceBackend
from trainer.activations import ActivationStore
from trainer.baselines import BASELINES, WITH_MAP, has_map, judge_baseline

CPU = torch.device("cpu")
GOOD, SIZE = 10, 64


@pytest.fixture
def store(averaging_engine: SourceBackend, tmp_path: Path) -> Iterator[ActivationStore]:
    """Ten grey pictures with grain; the eleventh is a training picture again, the twelfth has a white corner."""
    random = np.random.default_rng(0)
    pictures = [random.normal(0.4, 0.02, (3, SIZE, SIZE)).astype(np.float32) for _ in range(GOOD)]
    corner = pictures[0].copy()
    corner[:, :24, :24] = 1
    with ActivationStore(GOOD + 2, SIZE, averaging_engine, folder=tmp_path / "cache") as opened:
        opened.fill(iter([*pictures, pictures[3], corner]))
        yield opened


@pytest.mark.parametrize("name", BASELINES)
def test_a_white_corner_scores_above_every_good_picture(name: str, store: ActivationStore) -> None:
    found = judge_baseline(name, store, range(GOOD - 2), range(GOOD - 2, GOOD), range(GOOD + 2), CPU, 0)
    assert found.scores.shape == (GOOD + 2,)
    assert found.scores[-1] > found.scores[:-1].max()


@pytest.mark.parametrize("name", WITH_MAP)
def test_the_map_is_brightest_where_the_corner_is(name: str, store: ActivationStore) -> None:
    assert [one for one in BASELINES if has_map(one)] == list(WITH_MAP)
    corner = judge_baseline(name, store, range(GOOD), range(GOOD), [GOOD + 1], CPU, 0).maps[0]
    assert corner.shape == (SIZE, SIZE)
    y, x = np.unravel_index(int(corner.argmax()), corner.shape)
    assert max(y, x) < 24


def test_a_training_picture_lies_next_to_itself(store: ActivationStore) -> None:
    scores = judge_baseline("pooled-pool4", store, range(GOOD), range(GOOD), [GOOD, 3], CPU, 0).scores
    assert scores[0] == pytest.approx(scores[1])


def test_an_unknown_baseline_is_refused(store: ActivationStore) -> None:
    with pytest.raises(ValueError, match="no baseline"):
        judge_baseline("magic", store, range(GOOD), range(GOOD), [0], CPU, 0)
