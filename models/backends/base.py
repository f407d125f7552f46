"""The interface of every source engine: a batch of images in, the activations of all taps out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from models.sources.vgg16 import Normalisation, Precision


class SourceKey(NamedTuple):
    """Rows with equal keys (and equal image size) share one source pass, whatever product they are of."""

    weights: str  # a name of models.sources.vgg16.SOURCES
    sha256: str  # canonical SHA-256 of the tensors
    normalisation: Normalisation
    precision: Precision = "float32"  # of the arithmetic: thresholds hold only for the one that measured them


class SourceBackend(Protocol):
    """Runs one frozen source on one device. Holds no state between calls, so threads may share it."""

    @property
    def name(self) -> str:
        """Which engine this is: "torch", "ncnn", "winograd", ..."""

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) float in [0, 1] on the CPU or the device -> tap name -> (B, C, S/stride, S/stride) float32.

        The tensors may be saved for a backward pass by autograd (they are constants of it).
        """
