"""A run and good parts made of stand-in activations, for methods that are fitted without a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from models.heads.base import ActivationBatch, GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings
from models.sources.registry import SOURCES, Activations, SourceSpec

VGG16 = SOURCES["vgg16"]
SIZE = 64
TAPS = ("pool2", "pool3", "pool4")


def activations_of(images: Tensor) -> dict[str, Tensor]:
    """Each tap is the image averaged over its stride, mixed into the tap's channels by a fixed random matrix."""
    found = {}
    for tap in VGG16.taps.values():
        mixing = torch.randn(tap.channels, 3, generator=torch.Generator().manual_seed(tap.stride))
        grey = torch.nn.functional.avg_pool2d(images, tap.stride)
        found[tap.name] = torch.einsum("cr,brhw->bchw", mixing, grey) * tap.stride
    return found


class MadeParts:
    """See GoodParts: pictures with a bright bar at the same place, and grain."""

    source: SourceSpec = VGG16
    image_size = SIZE

    def __init__(self, images: Tensor, picture_numbers: Sequence[int] | None = None) -> None:
        self.images = images
        self.picture_numbers = range(len(images)) if picture_numbers is None else picture_numbers

    @property
    def count(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        images = self.images[list(indices)]
        return images, activations_of(images)

    def batches(self, size: int = 16, seed: int | None = None) -> Iterator[ActivationBatch]:
        order = torch.arange(self.count)
        if seed is not None:
            order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        for part in order.split(size):  # type: ignore[no-untyped-call]
            yield self.batch(part.tolist())

    def rms(self) -> dict[str, float]:
        _, taps = self.batch(range(self.count))
        return {tap: float(tensor.square().mean().sqrt()) for tap, tensor in taps.items()}

    def subset(self, indices: Sequence[int]) -> MadeParts:
        return MadeParts(self.images[list(indices)], [self.picture_numbers[index] for index in indices])

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> MadeParts:
        return MadeParts(change(*self.batch(range(self.count))), self.picture_numbers)


class MadeRun:
    """See FitRun."""

    device = torch.device("cpu")
    seed = 0

    def __init__(self) -> None:
        self.said: list[str] = []
        self.notes: dict[str, object] = {}

    def generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(len(purpose))

    def say(self, text: str) -> None:
        self.said.append(text)

    def note(self, name: str, value: object) -> None:
        self.notes[name] = value

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        raise AssertionError("this method has no steps")


def pictures(count: int, seed: int = 0, shift: int = 0) -> Tensor:
    """(count, 3, SIZE, SIZE): grain around a bar; with `shift` the bar lies that far from its place."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.03 * torch.randn(count, 3, SIZE, SIZE, generator=generator)
    images[:, :, :, 24 + shift : 40 + shift] += 0.4
    return images.clamp(0, 1)


def with_spot(images: Tensor) -> Tensor:
    """The same with a dark red spot in the upper left quarter."""
    spoilt = images.clone()
    spoilt[:, 0, 8:16, 28:36] = 0.9
    spoilt[:, 1:, 8:16, 28:36] = 0.0
    return spoilt


@pytest.fixture
def parts() -> MadeParts:
    """Forty good pictures."""
    return MadeParts(pictures(40))


@pytest.fixture
def run() -> MadeRun:
    """A run that remembers what it is told."""
    return MadeRun()
