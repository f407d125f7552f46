"""The interface of every head: a batch and its source activations in, scores and maps out.

A head is one product's part of the work. It knows how to be trained (`training_loss`), to be told what it needs of the
training images (`prepare_for_training`, `finish_training`), to save and load itself, and to judge. Its configuration is
a pydantic schema that stands in the artifact's manifest; its tensors are the artifact's safetensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from models.sources.registry import Activations

Batch = tuple[Tensor, Activations]  # images (B, 3, S, S) and the source's activations of the same rows


class HeadOutput(NamedTuple):
    """`scores` (B,) float32; `maps` (M, S, S) float32 for the M rows that asked, in their order, on the same device."""

    scores: Tensor
    maps: Tensor


class Head(nn.Module, ABC):
    """One product's detector on top of the shared source. Subclasses are listed in `models.heads.HEADS`."""

    method: ClassVar[str]
    config: BaseModel

    @abstractmethod
    def judge(self, images: Tensor, activations: Activations, wants_map: Sequence[bool]) -> HeadOutput:
        """Images (B, 3, S, S) in [0, 1] and the source's activations of the same rows -> scores and maps.

        A row's result depends on that row alone; threads may call at once for other rows.
        Higher scores and brighter maps mean less like the training images.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What the artifact stores, contiguous and on the CPU."""

    @classmethod
    @abstractmethod
    def load(cls, config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Self:
        """The head of a stored configuration and its tensors. Raises ValueError where the two do not fit."""

    @property
    def size_bytes(self) -> int:
        """Memory that this head's tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.parameters(), *self.buffers()))


class Trainee(nn.Module, ABC):
    """A head while it is being trained: gives the loss of a batch, and at the end the head."""

    @abstractmethod
    def training_loss(self, images: Tensor, activations: Activations) -> Tensor:
        """The loss of a batch, a scalar."""

    @abstractmethod
    def finish(self, batches: Iterable[Batch], held_out: Iterable[Batch]) -> Head:
        """The finished head, judging as its recipe says.

        `batches` are the training images once more; `held_out` good images that training has not seen, from which a
        head may take a yardstick or two, never more: the calibration counts on the same images.
        """


def to_device(head: Head, device: torch.device) -> Head:
    """The head on its device, frozen and in evaluation mode."""
    return head.to(device).eval().requires_grad_(False)
