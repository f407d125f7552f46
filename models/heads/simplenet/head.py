"""The head of SimpleNet: how little each patch looks like one of good parts to the trained discriminator D.

d(x, y) = log(1 + exp(-D(f)))           grows as D falls, and is positive as the scores of other methods
score   = highest d
map     = d, brought to the picture and blurred
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.parts.maps import patch_map
from models.heads.parts.patches import patch_features
from models.heads.simplenet.config import SimplenetRecord
from models.heads.simplenet.network import output_of
from models.sources.registry import Activations

TENSORS = frozenset({"weight", "bias", "tail"})


class SimplenetHead(Head):
    """`weight` (C, H), `bias` (H,) and `tail` (H,): adaptor and discriminator folded into one hidden layer."""

    method: ClassVar[str] = "simplenet"
    record: SimplenetRecord
    weight: Tensor
    bias: Tensor
    tail: Tensor

    def __init__(self, record: SimplenetRecord, weight: Tensor, bias: Tensor, tail: Tensor) -> None:
        super().__init__()
        self.record = record
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.register_buffer("tail", tail, persistent=False)

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(self.record.taps)

    @torch.no_grad()
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        record = self.record
        features = patch_features(activations, record.taps, record.grid_tap, record.tap_scales)
        rows, height, width, channels = features.shape
        outputs = output_of(features.reshape(-1, channels), self.weight, self.bias, self.tail)
        places = functional.softplus(-outputs).view(rows, height, width)
        asked = torch.tensor(list(wants_map), dtype=torch.bool, device=places.device)
        return HeadOutput(places.amax(dim=(1, 2)), patch_map(places[asked], images.shape[-1]))

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {"weight": self.weight, "bias": self.bias, "tail": self.tail}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> SimplenetHead:
    """See Method.load."""
    record = SimplenetRecord.model_validate(stored)
    if set(tensors) != TENSORS:
        raise ValueError(f"the tensors {', '.join(sorted(TENSORS))} are expected, and nothing else")
    weight, bias, tail = tensors["weight"], tensors["bias"], tensors["tail"]
    if weight.ndim != 2 or bias.shape != weight.shape[1:] or tail.shape != bias.shape:
        raise ValueError("bias and tail do not fit the weight")
    if len(record.tap_scales) != len(record.taps):
        raise ValueError("the record's scales do not fit its taps")
    return SimplenetHead(record, weight, bias, tail)
