"""A combination of methods as a method: every member is fitted to the same good parts, and their scores become one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Head, Method, SourceNeeds, to_device
from models.heads.candidate import Candidate
from models.heads.combined.config import CombinedConfig, CombinedRecord, Member
from models.heads.combined.head import CombinedHead, member_output, member_record, named, needs_of
from models.heads.parts.folds import folds_of
from models.heads.parts.member_run import MemberRun
from models.heads.parts.numbered_tensors import by_number
from models.heads.registry import method_of
from models.sources.registry import Activations, SourceSpec


class CombinedMethod(Method[CombinedConfig]):
    """See the module, and models.heads.base.Method."""

    name = "combined"
    title = "Several methods, one verdict"
    when = "defects of several kinds: by default places (PaDiM), the whole picture and MKD's map; fitted in a minute"
    Config = CombinedConfig
    candidates: ClassVar[tuple[Candidate, ...]] = (
        Candidate("combined", {"method": "combined"}),
        Candidate("combined with patchcore", {"method": "combined", "members": ("padim", "whole", "patchcore")}),
    )

    def needs(self, config: CombinedConfig, source: SourceSpec) -> SourceNeeds:
        """What all members need. Raises ValueError where two of them ask for a further pass."""
        return needs_of([method_of(one.settings.method).needs(one.settings, source) for one in config.members])

    def fit(self, config: CombinedConfig, parts: GoodParts, run: FitRun) -> CombinedHead:
        """Fits every member to all parts, then again for each fold, to see what is usual on unseen parts."""
        names = named([one.settings.method for one in config.members])
        fitted = [
            _method(one).fit(one.settings, parts, MemberRun(run, name))
            for one, name in zip(config.members, names, strict=True)
        ]
        terms, peaks = [], []
        for fold in folds_of(parts, config.folds, run.generator("combined folds")):
            quiet = MemberRun(run, "fold", quiet=True)
            heads = [
                to_device(_method(one).fit_again(one.settings, head, fold.seen, quiet), run.device)
                for one, head in zip(config.members, fitted, strict=True)
            ]
            found = judged(heads, config.members, fold.unseen)
            terms.append(found[0])
            peaks.append(found[1])
        levels = torch.cat(peaks).median(dim=0).values.tolist()
        record = CombinedRecord(
            members=tuple(
                member_record(head, name, one, level)
                for head, name, one, level in zip(fitted, names, config.members, levels, strict=True)
            ),
            sum=config.sum,
        )
        head = CombinedHead(record, fitted, torch.cat(terms))
        run.note("members", list(head.names))
        return head

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> CombinedHead:
        """See Method.load."""
        stored = CombinedRecord.model_validate(record)
        if "usual" not in tensors:
            raise ValueError("the members' tensors and usual are expected, and nothing else")
        parts = by_number({name: one for name, one in tensors.items() if name != "usual"}, len(stored.members))
        heads = [method_of(one.method).load(one.head, own) for one, own in zip(stored.members, parts, strict=True)]
        return CombinedHead(stored, heads, tensors["usual"])


def _method(member: Member) -> Method[Any]:
    return method_of(member.settings.method)


@torch.no_grad()
def judged(heads: Sequence[Head], members: Sequence[Member], parts: GoodParts) -> tuple[Tensor, Tensor]:
    """Each image's terms (n, terms), and the peaks of the members' maps (n, members), on the CPU."""
    further = _further(heads, parts)
    terms, peaks = [], []
    for images, activations in parts.batches():
        rows = [True] * len(images)
        also = next(further) if further is not None else None
        found = [
            member_output(head, one, images, activations, rows, also) for head, one in zip(heads, members, strict=True)
        ]
        terms.append(torch.cat([one.terms for one in found], dim=1).cpu())
        tops = [one.maps.flatten(1).amax(dim=1) if len(one.maps) else images.new_ones(len(images)) for one in found]
        peaks.append(torch.stack(tops, dim=1).cpu())
    return torch.cat(terms), torch.cat(peaks)


def _further(heads: Sequence[Head], parts: GoodParts) -> Iterator[Activations] | None:
    """The activations of the changed images, batch by batch, where a member asks for them."""
    for head in heads:
        if head.needs.further_pass:
            return (found for _, found in parts.changed(head.changed).batches())
    return None
