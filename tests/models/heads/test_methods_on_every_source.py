"""Each method with its default taps is fitted on each source of the registry, and judges."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.heads.base import ActivationBatch, GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings
from models.heads.registry import config_of, method_of
from models.sources.registry import SOURCES, SourceSpec
from tests.models.heads.conftest import SIZE, MadeParts, MadeRun, pictures

CASES: tuple[dict[str, object], ...] = (
    {"method": "padim", "dimensions": 20},
    {"method": "patchcore", "bank_size": 20, "candidates": 200},
    {"method": "spade", "neighbours": 3},
    {"method": "simplenet", "hidden": 8, "patches": 32, "steps": 1},
)


class PartsOf(MadeParts):
    """Good pictures and stand-in activations of any source."""

    def __init__(self, images: Tensor, source: SourceSpec) -> None:
        super().__init__(images)
        self.source = source

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        images, found = self.images[list(indices)], {}
        for tap in self.source.taps.values():
            mixing = torch.randn(tap.channels, 3, generator=torch.Generator().manual_seed(tap.stride))
            grey = torch.nn.functional.avg_pool2d(images, tap.stride)
            found[tap.name] = torch.einsum("cr,brhw->bchw", mixing, grey)
        return images, found


class SteppingRun(MadeRun):
    """Takes the steps that a method asks for, each over the same parts."""

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        optimiser = trainable.optimiser(settings)
        for _ in range(settings.steps):
            trainable.loss(*parts.batch(range(4))).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        trainable.eval()


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "vgg16-torchvision"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["method"]))
def test_a_method_is_fitted_on_the_source_and_judges(case: dict[str, object], source: str) -> None:
    method, config = method_of(str(case["method"])), config_of(case)
    spec = SOURCES[source]
    parts = PartsOf(pictures(8), spec)
    head = method.fit(config, parts, SteppingRun())
    assert set(method.needs(config, spec).taps) == set(head.needs.taps) <= set(spec.taps)
    images, activations = parts.batch(range(2))
    found = head.judge(images, {tap: activations[tap] for tap in head.needs.taps}, [True, False])
    assert found.scores.shape == (2,)
    assert found.maps.shape == (1, SIZE, SIZE)
    assert bool(found.scores.isfinite().all())
