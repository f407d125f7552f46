"""A stand-in for the source: activations that follow from the image, without any weights."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.sources.registry import SOURCES

VGG16 = SOURCES["vgg16"]


class AveragingBackend:
    """Every tap is the image averaged over its stride, louder with every channel; counts the images it was given."""

    name = "averaging"

    def __init__(self) -> None:
        self.images_seen = 0

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend."""
        self.images_seen += len(images)
        found = {}
        for number, tap in enumerate(VGG16.taps.values()):
            if taps is not None and tap.name not in taps:
                continue
            grey = functional.avg_pool2d(images, tap.stride).mean(dim=1, keepdim=True)
            loudness = torch.linspace(0.1, 1, tap.channels).view(1, -1, 1, 1)
            found[tap.name] = grey * loudness * 10.0 ** (3 - number)
        return found


@pytest.fixture
def averaging_backend() -> AveragingBackend:
    """A new stand-in for a backend."""
    return AveragingBackend()
