"""The head of PatchCore: how far each patch is from the nearest patch that good parts have.

d(x, y) = min over the bank of |f(x, y) - b|                    f, b whitened where the record says so
score   = d* = highest d                                        or d* (1 - softmax over |f* - b_i|, b_i near b*)
map     = d, brought to the picture and blurred
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.parts.maps import patch_map
from models.heads.parts.nearest import Bank, nearest
from models.heads.parts.patches import patch_features
from models.heads.parts.picture_score import picture_scores
from models.heads.parts.products import product
from models.heads.patchcore.config import PatchcoreRecord
from models.sources.registry import Activations


class PatchcoreHead(Head):
    """`bank` (n, C) is kept in half precision; `mean` (C,) and `matrix` (C, C) whiten, where there are any."""

    method: ClassVar[str] = "patchcore"
    record: PatchcoreRecord
    bank: Tensor
    half_squares: Tensor
    mean: Tensor | None
    matrix: Tensor | None

    def __init__(
        self, record: PatchcoreRecord, bank: Tensor, mean: Tensor | None = None, matrix: Tensor | None = None
    ) -> None:
        super().__init__()
        self.record = record
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("half_squares", bank.float().square().sum(dim=1) / 2, persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("matrix", matrix, persistent=False)

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(self.record.taps)

    @torch.no_grad()
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        features = self.features(activations)
        rows, height, width, channels = features.shape
        distances, index = nearest(features.reshape(-1, channels), Bank(self.bank, self.half_squares))
        places, index = distances.view(rows, -1), index.view(rows, -1)
        scores = picture_scores(places, self.record.score_share)
        if self.record.reweight:
            highest = places.max(dim=1)
            row = torch.arange(rows, device=scores.device)
            scores = scores * self._weights(features.flatten(1, 2)[row, highest.indices], index[row, highest.indices])
        asked = torch.tensor(list(wants_map), dtype=torch.bool, device=scores.device)
        return HeadOutput(scores, patch_map(places.view(rows, height, width)[asked], images.shape[-1]))

    def features(self, activations: Activations) -> Tensor:
        """(B, h, w, C), whitened where the record says so."""
        record = self.record
        found = patch_features(activations, record.taps, record.grid_tap, record.tap_scales)
        return found if self.mean is None else whitened(found, self.mean, self.matrix)

    def _weights(self, patches: Tensor, kept: Tensor) -> Tensor:
        """1 - softmax over the distances to the neighbours in the bank of each patch's nearest kept one: (B,)."""
        bank = self.bank.float()
        count = min(self.record.neighbours, len(bank))
        around = torch.cdist(bank[kept], bank).topk(count, dim=1, largest=False).indices  # the kept one comes first
        apart = (patches[:, None] - bank[around]).square().sum(dim=2).sqrt()
        return 1 - apart.softmax(dim=1)[:, 0]

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {"bank": self.bank, "mean": self.mean, "matrix": self.matrix}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items() if tensor is not None}


def whitened(features: Tensor, mean: Tensor, matrix: Tensor | None) -> Tensor:
    """(..., C) -> the same with unit covariance, by the moments of good patches."""
    assert matrix is not None
    return product(features - mean.float(), matrix.float())


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> PatchcoreHead:
    """See Method.load."""
    record = PatchcoreRecord.model_validate(stored)
    wanted = {"bank", "mean", "matrix"} if record.whiten else {"bank"}
    if set(tensors) != wanted:
        raise ValueError(f"the tensors {', '.join(sorted(wanted))} are expected, and nothing else")
    bank, mean, matrix = tensors["bank"], tensors.get("mean"), tensors.get("matrix")
    channels = bank.shape[-1]
    fits = mean is None or matrix is None or (mean.shape == (channels,) and matrix.shape == (channels, channels))
    if bank.ndim != 2 or not len(bank) or not fits or len(record.tap_scales) != len(record.taps):
        raise ValueError("the tensors do not fit each other or the record")
    return PatchcoreHead(record, bank, mean, matrix)
