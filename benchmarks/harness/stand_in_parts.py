"""Good parts without a source network: synthetic pictures, and activations that follow from them by fixed mixing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from models.heads.base import ActivationBatch
from models.sources.registry import SOURCES, Activations, SourceSpec

SIZE = 64
SOURCE = SOURCES["vgg16"]


def pictures(count: int, seed: int) -> Tensor:
    """(count, 3, SIZE, SIZE): stripes of a drawn phase and strength under a drawn light, with grain."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)

    x = torch.arange(SIZE).view(1, 1, 1, SIZE).expand(1, 1, SIZE, SIZE)
    stripes = draw(0.1, 0.25) * torch.sin(0.5 * x + draw(0.0, 6.3))
    grain = 0.04 * torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return (draw(0.4, 0.6) + stripes + grain).clamp(0, 1)


def activations_of(images: Tensor) -> dict[str, Tensor]:
    """Each tap is the picture averaged over its stride, mixed into the tap's channels and rectified."""
    found = {}
    for tap in SOURCE.taps.values():
        mixing = torch.randn(tap.channels, 3, generator=torch.Generator().manual_seed(tap.stride))
        seen = torch.nn.functional.avg_pool2d(images - 0.5, tap.stride)
        found[tap.name] = torch.einsum("cr,brhw->bchw", mixing, seen).relu() * tap.stride
    return found


class StandInParts:
    """See models.heads.base.GoodParts."""

    source: SourceSpec = SOURCE
    image_size = SIZE

    def __init__(self, images: Tensor) -> None:
        self.images = images

    @property
    def picture_numbers(self) -> Sequence[int]:
        """See GoodParts."""
        return range(self.count)

    @property
    def count(self) -> int:
        """See GoodParts."""
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        """See GoodParts."""
        images = self.images[list(indices)]
        return images, activations_of(images)

    def batches(self, size: int = 16, seed: int | None = None) -> Iterator[ActivationBatch]:
        """See GoodParts."""
        order = torch.arange(self.count)
        if seed is not None:
            order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        for start in range(0, self.count, size):
            yield self.batch(order[start : start + size].tolist())

    def rms(self) -> dict[str, float]:
        """See GoodParts."""
        _, taps = self.batch(range(self.count))
        return {tap: float(tensor.square().mean().sqrt()) for tap, tensor in taps.items()}

    def subset(self, indices: Sequence[int]) -> StandInParts:
        """See GoodParts."""
        return StandInParts(self.images[list(indices)])

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> StandInParts:
        """See GoodParts."""
        return StandInParts(change(*self.batch(range(self.count))))
