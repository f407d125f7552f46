"""Fits a head to each group of channels, and measures what is usual for it on parts that it has not seen.

Lights differ in how much good parts vary under them. So the scores and maps of each group are told in units of its own
(models.heads.grouped), which come from folds of the training parts, never from those that calibrate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Head, Method, MethodConfig, to_device
from models.heads.grouped import GroupedHead, GroupHead, GroupRecord, Unit
from models.heads.parts.member_run import MemberRun
from models.imaging.channels import ChannelGroup
from models.sources.registry import Activations

FOLDS = 3


def fit_groups(
    method: Method[Any],
    config: MethodConfig,
    parts: GoodParts,
    groups: Sequence[ChannelGroup],
    each: int,
    run: FitRun,
) -> GroupedHead:
    """A head for each group. `parts` has, part by part, `each` images of the first group, then those of the next."""
    count = parts.count // (each * len(groups))
    order = torch.randperm(count, generator=run.generator("folds of channel groups")).tolist()
    heads = []
    for number, group in enumerate(groups):
        own = parts.subset(_rows(range(count), number, len(groups), each))
        fitted = method.fit(config, own, MemberRun(run, group.name))
        scores, peaks = _unseen(method, config, fitted, own, order, each, run)
        record = GroupRecord(head=fitted.record.model_dump(mode="json"), score=Unit.of(scores), map=Unit.of(peaks))
        heads.append(GroupHead(fitted, record))
    run.note("units", {group.name: _unit_note(head) for group, head in zip(groups, heads, strict=True)})
    return GroupedHead(heads)


def _unit_note(head: GroupHead) -> dict[str, dict[str, float]]:
    return {"score": head.record.score.model_dump(), "map": head.record.map.model_dump()}


def _rows(pictures: Sequence[int], group: int, groups: int, each: int) -> list[int]:
    """Where the images of one group of these parts lie among those of all groups."""
    return [(picture * groups + group) * each + place for picture in pictures for place in range(each)]


def _unseen(
    method: Method[Any],
    config: MethodConfig,
    fitted: Head,
    own: GoodParts,
    order: Sequence[int],
    each: int,
    run: FitRun,
) -> tuple[Tensor, Tensor]:
    """Each part's highest score and the peak of its maps, (parts,) each, by a head that was fitted to the others."""
    quiet = MemberRun(run, "fold", quiet=True)
    scores, peaks = [], []
    for first in range(min(FOLDS, len(order))):
        aside = set(order[first::FOLDS])
        seen = own.subset(_rows([one for one in range(len(order)) if one not in aside], 0, 1, each))
        unseen = own.subset(_rows(sorted(aside), 0, 1, each))
        head = to_device(method.fit_again(config, fitted, seen, quiet), run.device)
        of_rows = [torch.cat(found).view(-1, each).amax(dim=1) for found in zip(*_judged(head, unseen), strict=True)]
        scores.append(of_rows[0])
        peaks.append(of_rows[1])
    return torch.cat(scores), torch.cat(peaks)


@torch.no_grad()
def _judged(head: Head, parts: GoodParts) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores and peaks of the maps of a batch after the other, on the CPU."""
    further = _further(head, parts)
    for images, activations in parts.batches():
        own = {tap: activations[tap] for tap in head.needs.taps}
        found = head.judge(images, own, [True] * len(images), next(further) if further is not None else None)
        yield found.scores.cpu(), found.maps.flatten(1).amax(dim=1).cpu()


def _further(head: Head, parts: GoodParts) -> Iterator[Activations] | None:
    if not head.needs.further_pass:
        return None
    return (found for _, found in parts.changed(head.changed).batches())
