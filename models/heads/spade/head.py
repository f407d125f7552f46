"""The head of SPADE: how far a part is from the most similar good pictures, as a whole and place by place.

N       = the K good pictures with the nearest mean activations
d_t(p)  = min over places q of pictures in N of |a_t(p) - b_t(q)| / sqrt(channels of t)      for each tap t
map     = mean over taps of d_t, each brought to the picture; then blurred
score   = highest place of that mean before the blur                   or mean distance of the mean activations to N
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.parts.maps import PATCH_REFERENCE_SIZE, SIGMA, gaussian_blur
from models.heads.parts.nearest import Bank, nearest
from models.heads.spade.config import SpadeRecord
from models.sources.registry import Activations

PICTURES = "pictures"


class SpadeHead(Head):
    """`pictures` (n, C) are the good pictures' mean activations, `banks` (n, places, C_t) by tap, in half precision.

    Loaded from an artifact the banks are memory-mapped: a part touches the places of its own neighbours alone.
    """

    method: ClassVar[str] = "spade"
    record: SpadeRecord
    pictures: Tensor

    def __init__(self, record: SpadeRecord, pictures: Tensor, banks: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.record = record
        self.register_buffer(PICTURES, pictures, persistent=False)
        for tap, bank in banks.items():
            self.register_buffer(f"bank_{tap}", bank, persistent=False)

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(tuple(dict.fromkeys((*self.record.taps, self.record.image_tap))))

    @torch.no_grad()
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge. Rows are compared one after the other, so memory is that of one row's neighbours."""
        means = mean_activations(activations, self.record.image_tap)
        # The exact mode: by matrix products a row's distances would depend on the batch in the last digits.
        apart = torch.cdist(means, self.pictures, compute_mode="donot_use_mm_for_euclid_dist")
        near = apart.topk(min(self.record.neighbours, len(self.pictures)), dim=1, largest=False)
        by_peak = self.record.image_score == "peak"
        size = images.shape[-1]
        scores, maps = near.values.mean(dim=1), []
        for row, wanted in enumerate(wants_map):
            if not (wanted or by_peak):
                continue
            places = self._places(activations, row, near.indices[row], size)
            if by_peak:
                scores[row] = places.amax()
            if wanted:
                maps.append(places)
        found = torch.stack(maps) if maps else images.new_zeros((0, size, size))
        return HeadOutput(scores, gaussian_blur(found, SIGMA * size / PATCH_REFERENCE_SIZE))

    def _places(self, activations: Activations, row: int, near: Tensor, size: int) -> Tensor:
        """(size, size): the distances of a row's places to those pictures, the mean over the taps."""
        total = activations[self.record.image_tap].new_zeros((size, size), dtype=torch.float32)
        for tap, scale in zip(self.record.taps, self.record.tap_scales, strict=True):
            own = activations[tap][row].float() / scale
            channels, height, width = own.shape
            gallery = self.get_buffer(f"bank_{tap}")[near].flatten(0, 1).float()
            distances, _ = nearest(own.flatten(1).t(), Bank.of(gallery))
            grid = distances.view(1, 1, height, width) / channels**0.5
            total += functional.interpolate(grid, size=(size, size), mode="bilinear", align_corners=False)[0, 0]
        return total / len(self.record.taps)

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {PICTURES: self.pictures, **{f"bank.{tap}": self.get_buffer(f"bank_{tap}") for tap in self.record.taps}}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def mean_activations(activations: Activations, tap: str) -> Tensor:
    """(B, C): the tap's mean over the picture."""
    return activations[tap].float().mean(dim=(2, 3))


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> SpadeHead:
    """See Method.load."""
    record = SpadeRecord.model_validate(stored)
    wanted = {PICTURES, *(f"bank.{tap}" for tap in record.taps)}
    if set(tensors) != wanted:
        raise ValueError(f"the tensors {', '.join(sorted(wanted))} are expected, and nothing else")
    pictures, banks = tensors[PICTURES], {tap: tensors[f"bank.{tap}"] for tap in record.taps}
    fits = all(bank.ndim == 3 and len(bank) == len(pictures) for bank in banks.values())
    if pictures.ndim != 2 or not len(pictures) or not fits or len(record.tap_scales) != len(record.taps):
        raise ValueError("the tensors do not fit each other or the record")
    return SpadeHead(record, pictures, banks)
