"""The two ways of the training benchmark: turns of ten steps, and the same training but for rounding."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.training import TURN, EveryTime, Way
from models.heads.mkd.config import MkdConfig
from models.sources.registry import SOURCES
from trainer.activations import ActivationStore

SIDE, COUNT = 32, 8
VGG16 = SOURCES["vgg16"]
METHOD = MkdConfig(steps=2 * TURN, batch_size=4)


class Averages:
    """Activations made of averages of the image, and a count of the images that were seen."""

    name = "averages"

    def __init__(self) -> None:
        self.seen = 0

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        self.seen += len(images)
        grey = images.mean(dim=1, keepdim=True)
        return {
            tap.name: torch.nn.functional.avg_pool2d(grey, tap.stride).repeat(1, tap.channels, 1, 1)
            for tap in VGG16.taps.values()
        }


def test_both_ways_train_alike_and_only_one_runs_the_source_again(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    images = [random.random((3, SIDE, SIDE), dtype=np.float32) for _ in range(COUNT)]
    once, again = Averages(), Averages()
    with (
        ActivationStore(COUNT, SIDE, once, VGG16, METHOD.taps, folder=tmp_path / "ours") as cached,
        EveryTime(COUNT, SIDE, again, VGG16, METHOD.taps, folder=tmp_path / "reference", limit_bytes=0) as anew,
    ):
        cached.fill(iter(images))
        anew.fill(iter(images))
        ours, reference = Way(cached, METHOD, tmp_path), Way(anew, METHOD, tmp_path)
        ours.turn()
        reference.turn()
        assert (ours.fit.step, reference.fit.step) == (TURN, TURN)
        ours.turn()
        reference.turn()
        assert anew.batch([0], torch.device("cpu"))[1]["pool2"].is_contiguous()
    assert once.seen == COUNT
    assert again.seen > COUNT + 2 * TURN * METHOD.batch_size
    assert ours.fit.losses[0] == pytest.approx(reference.fit.losses[0], rel=1e-3)
    assert ours.fit.losses[-1] == pytest.approx(reference.fit.losses[-1], rel=0.05)
    assert ours.seconds > 0
