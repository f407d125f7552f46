"""A head for each tile: each row is judged by its own tile's, in one batch, and an artifact brings all of them back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.backends.base import SourceKey
from models.detector import Detector, Judgement, Row
from models.heads.base import MethodConfig
from models.heads.patchcore.config import PatchcoreConfig
from models.heads.per_tile.fit import fit_per_tile
from models.heads.per_tile.head import PerTileHead, is_per_tile, load_per_tile
from models.heads.registry import config_of, method_of
from models.sources.registry import Activations
from tests.models.heads.conftest import MadeParts, MadeRun, activations_of, pictures

CPU = torch.device("cpu")
KEY = SourceKey("vgg16", "0" * 64, "source", "float32")
CONFIGS = [
    config_of({"method": "padim", "dimensions": 20}),
    config_of({"method": "patchcore", "bank_size": 100, "candidates": 1000}),
]


@dataclasses.dataclass
class MadeSource:
    """A backend of stand-in activations that counts its passes."""

    passes: int = 0

    def activations(self, images: torch.Tensor, taps: object) -> Activations:
        self.passes += 1
        return activations_of(images)


def two_tiles(count: int, seed: int) -> torch.Tensor:
    """Pictures of two tiles each: a bright bar on dark ground, and a dark one on bright ground."""
    first, second = pictures(count, seed=seed), 1 - pictures(count, seed=seed + 1)
    return torch.stack([first, second], dim=1).flatten(0, 1)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: str(config.method))
def config(request: pytest.FixtureRequest) -> MethodConfig:
    made: MethodConfig = request.param
    return made


@pytest.fixture(scope="module")
def head(config: MethodConfig) -> PerTileHead:
    return fit_per_tile(method_of(config.method), config, MadeParts(two_tiles(16, seed=0)), MadeRun(), 2)


def judged(head: PerTileHead, images: torch.Tensor, views: list[int]) -> list[Judgement]:
    source = MadeSource()
    rows = [Row(image.numpy(), head, KEY, True, view) for image, view in zip(images, views, strict=True)]
    found = Detector(CPU, {KEY: source}).judge(rows)  # type: ignore[dict-item]
    assert source.passes == 1
    return found


def test_what_is_usual_in_one_tile_is_strange_in_the_other(head: PerTileHead) -> None:
    images = two_tiles(4, seed=50)
    right = [one.score for one in judged(head, images, [0, 1] * 4)]
    wrong = [one.score for one in judged(head, images, [1, 0] * 4)]
    assert min(wrong) > 2 * max(right)


def test_levels_bring_good_pictures_of_all_tiles_to_one(head: PerTileHead) -> None:
    found = judged(head, two_tiles(8, seed=70), [0, 1] * 8)
    peaks = np.array([0.0 if one.map is None else one.map.max() for one in found]).reshape(8, 2)
    assert np.median(peaks, axis=0) == pytest.approx([1.0, 1.0], rel=0.15)


def test_a_loaded_head_judges_as_the_fitted_one(head: PerTileHead, config: MethodConfig) -> None:
    images = two_tiles(2, seed=90)
    record = head.record.model_dump(mode="json")
    assert is_per_tile(record)
    assert head.method == config.method
    again = load_per_tile(method_of(config.method), record, head.tensors(), 2)
    assert [one.score for one in judged(again, images, [0, 1, 0, 1])] == [
        one.score for one in judged(head, images, [0, 1, 0, 1])
    ]


def test_heads_that_do_not_fit_the_tiles_are_refused(head: PerTileHead, config: MethodConfig) -> None:
    record, tensors, method = head.record.model_dump(mode="json"), head.tensors(), method_of(config.method)
    with pytest.raises(ValueError, match="heads for 2 tiles; the picture has 3"):
        load_per_tile(method, record, tensors, 3)
    with pytest.raises(ValueError, match="and nothing else"):
        load_per_tile(method, record, {**tensors, "5.bank": torch.zeros(1)}, 2)
    with pytest.raises(TypeError, match="head of its own"):
        head.judge(torch.zeros(1, 3, 8, 8), {}, [False])


def test_few_pictures_and_methods_with_steps_are_refused() -> None:
    padim, mkd = CONFIGS[0], config_of({"method": "mkd"})
    with pytest.raises(ValueError, match=r"5 pictures are too few .* at least 8"):
        fit_per_tile(method_of("padim"), padim, MadeParts(two_tiles(5, seed=0)), MadeRun(), 2)
    with pytest.raises(ValueError, match="mkd has one head for all tiles"):
        fit_per_tile(method_of("mkd"), mkd, MadeParts(two_tiles(16, seed=0)), MadeRun(), 2)


def test_banks_of_all_tiles_together_are_as_large_as_one() -> None:
    method = method_of("patchcore")
    own = method.for_one_tile(PatchcoreConfig(bank_size=3000, candidates=60_000), 4)
    assert (own.bank_size, own.candidates) == (750, 15_000)
    assert method.for_one_tile(PatchcoreConfig(bank_size=3000), 336).bank_size == 200
    assert method.for_one_tile(PatchcoreConfig(bank_size=50), 4).bank_size == 50
