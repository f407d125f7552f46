"""The judgements of a picture's views become one: the highest score, and a map of the whole."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest

from models.backends.base import SourceKey
from models.detector import Judgement
from models.heads.base import Head
from models.image_judge import ImageJudge
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions
from models.imaging.tiling import Tiling
from service.engine.engine import TimedJudgement

TILES = Preprocessing(image_size=32, resize="tiles", tiles=Tiling(side=32, overlap=0, width=64, height=32), version=2)


def judge_of(preprocessing: Preprocessing, regions: Regions | None = None) -> ImageJudge:
    return ImageJudge(cast(Head, None), cast(SourceKey, None), preprocessing, regions=regions)


def flat(value: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.full((32, 32), value, np.float32)


def test_the_tile_with_the_highest_score_decides() -> None:
    judge = judge_of(TILES)
    image = judge.prepare(np.zeros((32, 64, 3), np.uint8))
    assert [row.wants_map for row in judge.rows(image)] == [False, False]
    joined = judge.join(image, [Judgement(1.0, flat(1)), Judgement(3.0, flat(2))])
    assert joined.score == 3.0
    assert judge.deciding_tile([Judgement(1.0, None), Judgement(3.0, None)], joined) == (32, 0, 32, 32)
    assert joined.map is not None
    assert joined.map.shape == (32, 64)
    assert (joined.map[:, :31] == 1).all()
    assert (joined.map[:, 33:] == 2).all()


def test_of_tiles_that_are_put_together_the_map_decides() -> None:
    """A score of a tile that lies beside its edge is of the network's making, and the neighbour knows better."""
    tiling = Tiling(side=32, overlap=16, width=48, height=32, version=2)
    judge = judge_of(Preprocessing(image_size=32, resize="tiles", tiles=tiling, version=2))
    image = judge.prepare(np.zeros((32, 48, 3), np.uint8))
    assert [row.wants_map for row in judge.rows(image)] == [True, True]
    left, right = flat(1), flat(1)
    left[:, 30:] = 9
    right[10, 28] = 5
    judgements = [Judgement(9.0, left), Judgement(5.0, right)]
    joined = judge.join(image, judgements)
    assert joined.score == pytest.approx(5)
    assert judge.deciding_tile(judgements, joined) == (16, 0, 32, 32)
    broken = [Judgement(1.0, flat(math.nan)), Judgement(1.0, flat(1))]
    assert math.isnan(judge.join(image, broken).score)
    unscored = [Judgement(math.nan, flat(1)), Judgement(1.0, flat(1))]
    assert math.isnan(judge.join(image, unscored).score)


def test_a_tile_that_was_not_judged_leaves_the_picture_without_a_score() -> None:
    judge = judge_of(TILES)
    image = judge.prepare(np.zeros((32, 64, 3), np.uint8))
    for scores in ((1.0, math.nan), (math.nan, 1.0)):
        assert math.isnan(judge.join(image, [Judgement(score, None) for score in scores]).score)
    with pytest.raises(ValueError, match="1 judgements for a picture of 2 views"):
        judge.join(image, [Judgement(1.0, None)])


def test_an_answer_of_the_engine_keeps_what_else_it_carries() -> None:
    judge = judge_of(TILES)
    image = judge.prepare(np.zeros((32, 64, 3), np.uint8))
    joined = judge.join(image, [TimedJudgement(1.0, None, 0.1, 0.2, 7), TimedJudgement(3.0, None, 0.3, 0.4, 8)])
    assert joined == TimedJudgement(3.0, None, 0.3, 0.4, 8)


def test_with_regions_the_score_is_read_off_the_map_inside_them() -> None:
    kept = np.ones((32, 64), np.bool_)
    kept[:, 40:] = False
    judge = judge_of(TILES, Regions(kept))
    image = judge.prepare(np.zeros((32, 64, 3), np.uint8))
    assert [row.wants_map for row in judge.rows(image)] == [True, True]
    hot = flat(1)
    hot[3, 30] = 50
    judgements = [Judgement(9.0, flat(2)), Judgement(99.0, hot)]
    joined = judge.join(image, judgements)
    assert joined.score == 2.0
    assert judge.deciding_tile(judgements, joined) == (0, 0, 32, 32)
    assert joined.map is not None
    assert joined.map.max() == 2.0


def test_a_map_that_is_no_number_inside_is_no_score() -> None:
    judge = judge_of(Preprocessing(image_size=32, version=2), Regions(np.ones((32, 32), np.bool_)))
    image = judge.prepare(np.zeros((32, 32, 3), np.uint8))
    assert math.isnan(judge.join(image, [Judgement(1.0, flat(math.nan))]).score)
