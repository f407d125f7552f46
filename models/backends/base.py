"""The interface of every backend: a batch of images in, the activations of the wanted taps out."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from models.sources.registry import Normalisation, Precision, SourceSpec


class SourceKey(NamedTuple):
    """Rows with equal keys (and equal image size) share one source pass, whatever product they are of."""

    source: str  # a name of models.sources.registry.SOURCES
    sha256: str  # canonical SHA-256 of the tensors
    normalisation: Normalisation
    precision: Precision = "float32"  # of the arithmetic: thresholds hold only for the one that measured them


class SourceBackend(Protocol):
    """Runs one frozen source on one device. Holds no state between calls, so threads may share it."""

    @property
    def name(self) -> str:
        """Which backend this is: "torch", "ncnn", "winograd", ...; several where it goes by the batch."""

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, S, S) float in [0, 1] on the CPU or the device -> tap name -> (B, C, S/stride, S/stride) float32.

        Exactly the taps that are named, in order of depth, or all of the source's for None; no layer after the last of
        them runs. The tensors may be saved for a backward pass by autograd (they are constants of it). Raises
        ValueError for a tap that the source does not have.
        """


@runtime_checkable
class KeepsMemory(Protocol):
    """A backend that keeps memory between calls and can give it back. From any thread."""

    def give_back(self) -> None: ...


def empty_taps(
    spec: SourceSpec, count: int, size: int, taps: Collection[str] | None = None, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Tap name -> uninitialised (count, C, size/stride, size/stride) float32, channels last; see SourceSpec.wanted."""
    found: dict[str, Tensor] = {}
    for tap in (spec.taps[name] for name in spec.wanted(taps)):
        side = size // tap.stride
        shape = (count, tap.channels, side, side)
        found[tap.name] = torch.empty(shape, memory_format=torch.channels_last, device=device)
    return found
