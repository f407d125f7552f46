"""A stand-in for the source: activations that follow from the image, without any weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.sources.vgg16 import TAP_CHANNELS, TAP_STRIDES, TAPS


class AveragingEngine:
    """Every tap is the image averaged over its stride, louder with every channel; counts the images it was given."""

    name = "averaging"

    def __init__(self) -> None:
        self.images_seen = 0

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """See SourceBackend."""
        self.images_seen += len(images)
        found = {}
        for number, tap in enumerate(TAPS):
            grey = functional.avg_pool2d(images, TAP_STRIDES[tap]).mean(dim=1, keepdim=True)
            loudness = torch.linspace(0.1, 1, TAP_CHANNELS[tap]).view(1, -1, 1, 1)
            found[tap] = grey * loudness * 10.0 ** (3 - number)
        return found


@pytest.fixture
def averaging_engine() -> AveragingEngine:
    """A new stand-in engine."""
    return AveragingEngine()
