"""The head of PaDiM: the Mahalanobis distance of each place's features to the Gaussian of good parts there.

score = highest distance of any place, or the mean of the few highest
map   = distances, brought to the picture and blurred
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.padim.config import PadimRecord
from models.heads.parts.gaussians import mahalanobis
from models.heads.parts.maps import patch_map
from models.heads.parts.patches import projected_features
from models.heads.parts.picture_score import picture_scores
from models.sources.registry import Activations

TENSORS = frozenset({"projection", "mean", "factor"})


class PadimHead(Head):
    """`projection` (sum of the taps' channels, D), `mean` (P or 1, D) and `factor` (P or 1, D, D).

    They are kept in half precision and computed with in float32.
    """

    method: ClassVar[str] = "padim"
    record: PadimRecord
    projection: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, record: PadimRecord, projection: Tensor, mean: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.record = record
        self.register_buffer("projection", projection, persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("factor", factor, persistent=False)

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
        features = projected_features(activations, record.taps, record.grid_tap, record.tap_scales, self.projection)
        rows, height, width, _ = features.shape
        distances = mahalanobis(features.flatten(1, 2), self.mean, self.factor)
        asked = torch.tensor(list(wants_map), dtype=torch.bool, device=distances.device)
        places = distances.view(rows, height, width)
        return HeadOutput(picture_scores(distances, record.score_share), patch_map(places[asked], images.shape[-1]))

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {"projection": self.projection, "mean": self.mean, "factor": self.factor}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> PadimHead:
    """See Method.load."""
    record = PadimRecord.model_validate(stored)
    if set(tensors) != TENSORS:
        raise ValueError(f"the tensors {', '.join(sorted(TENSORS))} are expected, and nothing else")
    projection, mean, factor = tensors["projection"], tensors["mean"], tensors["factor"]
    count = projection.shape[-1]
    if mean.shape[1:] != (count,) or factor.shape != (len(mean), count, count):
        raise ValueError("mean and factor do not fit the projection")
    if (len(mean) == 1) != (record.covariance == "shared") or len(record.tap_scales) != len(record.taps):
        raise ValueError("the tensors do not fit the record")
    return PadimHead(record, projection, mean, factor)
