"""The head of a combination: its members' scores, and the peaks of their maps where those count, become one score.

    score = sum over terms t of weight_t * log(t)                        sum "logs": no yardstick is needed
    score = sum over terms t of weight_t * -log p(t)                     sum "p_values" (models.heads.combined.usual)
    map   = sum over members of weight * map / usual peak of that map

The terms of "logs" are lengths and must be positive. The member that decided is the one whose term lies furthest above
what is usual: weight * (log t - median of log t on good images), or weight * -log p(t).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.combined.config import CombinedRecord, MemberRecord, Weights
from models.heads.combined.usual import Usual
from models.heads.parts.numbered_tensors import numbered
from models.sources.registry import Activations

SMALLEST = 1e-12


class MemberOutput(NamedTuple):
    """Of one batch: `terms` (B, terms of this member) and `maps` of the rows that asked."""

    terms: Tensor
    maps: Tensor


class CombinedHead(Head):
    """`members` in the record's order; `usual` (n, terms) are the terms of good images that no member had seen."""

    method: ClassVar[str] = "combined"
    record: CombinedRecord
    usual: Tensor

    def __init__(self, record: CombinedRecord, members: Sequence[Head], usual: Tensor) -> None:
        super().__init__()
        names = [f"{one.name}:peak" if term == "peak" else one.name for one in record.members for term, _ in one.terms]
        if usual.ndim != 2 or usual.shape[1] != len(names) or not len(usual) or not bool(usual.isfinite().all()):
            raise ValueError(f"usual needs a column of numbers for each of {', '.join(names)}")
        self.record = record
        self.members = nn.ModuleList(members)
        self.names = tuple(names)
        self.register_buffer("usual", usual, persistent=False)
        weights = [weight for one in record.members for _, weight in one.terms]
        self._usual = Usual(usual, torch.tensor(weights, dtype=torch.float64), record.sum)

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return needs_of([head.needs for head in self._heads()])

    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        """See Head.changed: what the one member with a further pass asks for."""
        (head,) = (head for head in self._heads() if head.needs.further_pass)
        return head.changed(images, activations)

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge. A member whose peak counts makes its map for every row."""
        asked = [row for row, wants in enumerate(wants_map) if wants]
        terms, total = [], images.new_zeros((len(asked), *images.shape[-2:]))
        for member, head in zip(self.record.members, self._heads(), strict=True):
            found = member_output(head, member, images, activations, wants_map, further)
            terms.append(found.terms)
            if member.map > 0 and asked:
                total += member.map / member.map_level * found.maps
        scores, decided = self._usual.scores(torch.cat(terms, dim=1))
        return HeadOutput(scores.to(images), total, tuple(self.names[number] for number in decided.tolist()))

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        return {**numbered(self._heads()), "usual": self.usual.detach().cpu().contiguous()}

    def _heads(self) -> list[Head]:
        return [head for head in self.members if isinstance(head, Head)]


def member_output(
    head: Head,
    weights: Weights,
    images: Tensor,
    activations: Activations,
    wants_map: Sequence[bool],
    further: Activations | None = None,
) -> MemberOutput:
    """What one member says of a batch."""
    peaks = weights.peak > 0
    asked = list(wants_map) if weights.map > 0 else [False] * len(images)
    own = {tap: activations[tap] for tap in head.needs.taps}
    found = head.judge(images, own, [True] * len(images) if peaks else asked, further)
    by_name = {"score": found.scores}
    maps = found.maps
    if peaks:
        by_name["peak"] = maps.flatten(1).amax(dim=1)
        maps = maps[torch.tensor(asked, dtype=torch.bool, device=maps.device)]
    return MemberOutput(torch.stack([by_name[name] for name, _ in weights.terms], dim=1), maps)


def needs_of(needs: Sequence[SourceNeeds]) -> SourceNeeds:
    """What all of them need together. Raises ValueError where two of them ask for a further pass."""
    if sum(one.further_pass for one in needs) > 1:
        raise ValueError("two members ask for a further source pass over changed images; one at most can have it")
    return SourceNeeds(
        tuple(dict.fromkeys(tap for one in needs for tap in one.taps)), any(one.further_pass for one in needs)
    )


def named(methods: Sequence[str]) -> list[str]:
    """A name for each member: its method, with a number behind it from the second time on."""
    return [
        method if methods[:number].count(method) == 0 else f"{method}-{methods[:number].count(method) + 1}"
        for number, method in enumerate(methods)
    ]


def member_record(head: Head, name: str, weights: Weights, map_level: float) -> MemberRecord:
    """What is kept of a fitted member."""
    kept = {field: getattr(weights, field) for field in Weights.model_fields}
    record = head.record.model_dump(mode="json")
    return MemberRecord(name=name, method=head.method, head=record, map_level=max(map_level, SMALLEST), **kept)
