"""The groups of a part become one judgement: the highest of them, with the group and the tile that decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from models.backends.base import SourceKey
from models.detector import Judgement
from models.heads.base import Head, HeadOutput, Method, SourceNeeds
from models.heads.grouped import GroupedHead, GroupHead, GroupRecord, Unit, load_grouped
from models.image_judge import ImageJudge
from models.imaging.channels import ChannelGroup
from models.imaging.preprocess import Preprocessing
from models.imaging.tiling import Tiling
from models.sources.registry import Activations

TWO = (ChannelGroup(name="left"), ChannelGroup(name="right"))
PLAIN = Preprocessing(image_size=32, version=2, groups=TWO)
TILED = Preprocessing(
    image_size=32,
    resize="tiles",
    tiles=Tiling(side=32, overlap=0, width=64, height=32, version=2),
    version=2,
    groups=TWO,
)


class Shifted(Head):
    """Scores and maps are the image's mean, plus what its record says."""

    method: ClassVar[str] = "shifted"

    class Record(BaseModel):
        by: float

    record: Record

    def __init__(self, by: float) -> None:
        super().__init__()
        self.record = self.Record(by=by)
        self.shift = nn.Parameter(torch.tensor([by]))

    @property
    def needs(self) -> SourceNeeds:
        return SourceNeeds(("pool1",))

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        means = images.mean(dim=1) + self.record.by
        return HeadOutput(means.flatten(1).mean(dim=1), means[torch.tensor(list(wants_map))])

    def tensors(self) -> dict[str, Tensor]:
        return {"shift": self.shift.detach()}


class ShiftedMethod:
    def load(self, record: dict[str, float], tensors: dict[str, Tensor]) -> Shifted:
        assert tensors["shift"].item() == record["by"]
        return Shifted(record["by"])


def grouped() -> GroupedHead:
    units = (Unit(usual=1, spread=2), Unit(usual=10, spread=0.5))
    heads = [Shifted(float(number)) for number in range(2)]
    return GroupedHead(
        [
            GroupHead(head, GroupRecord(head=head.record.model_dump(), score=unit, map=unit))
            for head, unit in zip(heads, units, strict=True)
        ]
    )


def judge_of(preprocessing: Preprocessing, head: Head | None = None) -> ImageJudge:
    return ImageJudge(cast(Head, head), cast(SourceKey, None), preprocessing)


def flat(value: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.full((32, 32), value, np.float32)


def test_the_group_with_the_highest_score_decides_and_the_map_is_the_highest_of_both() -> None:
    judge = judge_of(PLAIN)
    image = judge.prepare(np.zeros((32, 32, 2), np.uint8))
    right = flat(2)
    right[4, 5] = 0
    joined = judge.join(image, [Judgement(1.0, flat(1)), Judgement(3.0, right)])
    assert (joined.score, joined.group) == (3.0, "right")
    assert joined.map is not None
    assert joined.map[4, 5] == 1
    assert joined.map[0, 0] == 2
    assert judge.join(image, [Judgement(5.0, None), Judgement(3.0, None)]) == Judgement(5.0, None, None, "left")


def test_a_group_that_was_not_judged_leaves_the_part_without_a_score() -> None:
    judge = judge_of(PLAIN)
    image = judge.prepare(np.zeros((32, 32, 2), np.uint8))
    for scores in ((math.nan, 9.0), (9.0, math.nan)):
        assert math.isnan(judge.join(image, [Judgement(score, None) for score in scores]).score)


def test_the_tile_that_decided_is_one_of_the_group_that_decided() -> None:
    judge = judge_of(TILED)
    image = judge.prepare(np.zeros((32, 64, 2), np.uint8))
    assert [row.wants_map for row in judge.rows(image)] == [True] * 4
    judgements = [Judgement(1.0, flat(1)), Judgement(1.0, flat(1)), Judgement(2.0, flat(2)), Judgement(3.0, flat(7))]
    joined = judge.join(image, judgements)
    assert (joined.score, joined.group) == (7.0, "right")
    assert judge.deciding_tile(judgements, joined) == (32, 0, 32, 32)


def test_each_row_goes_to_the_head_of_its_group() -> None:
    head = grouped()
    judge = judge_of(TILED, head)
    rows = judge.rows(judge.prepare(np.zeros((32, 64, 2), np.uint8)))
    assert [row.head for row in rows] == [head.groups[0], head.groups[0], head.groups[1], head.groups[1]]
    with pytest.raises(TypeError, match="the head of its group"):
        head.judge(torch.zeros(1, 3, 32, 32), {}, [True])


def test_scores_and_maps_of_a_group_are_told_in_its_unit() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    found = [head.judge(images, {}, [True]) for head in grouped().groups]
    assert [one.scores.item() for one in found] == [-0.25, -17.0]
    assert bool((found[1].maps == -17).all())


def test_a_unit_is_the_median_and_the_reach_to_the_95th_percentile() -> None:
    unit = Unit.of(torch.arange(101.0))
    assert (unit.usual, unit.spread) == pytest.approx((50, 45))
    assert Unit.of(torch.full((5,), 3.0)).spread > 0


def test_a_grouped_head_comes_back_from_its_record_and_tensors() -> None:
    head, method = grouped(), cast("Method[object]", ShiftedMethod())  # type: ignore[type-var]
    record, tensors = head.record.model_dump(mode="json"), head.tensors()
    assert sorted(tensors) == ["0.shift", "1.shift"]
    again = load_grouped(method, record, tensors, TWO)
    assert again.record == head.record
    with pytest.raises(ValueError, match="2 heads for 3 groups"):
        load_grouped(method, record, tensors, (*TWO, ChannelGroup(name="top")))
    with pytest.raises(ValueError, match=r"there is 2\.shift"):
        load_grouped(method, record, {**tensors, "2.shift": torch.zeros(1)}, TWO)
