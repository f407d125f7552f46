"""Tries candidates at one size: fits them to some good pictures, scores others and painted defects, takes the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.backends.base import SourceBackend
from models.heads.base import Head, to_device
from models.heads.candidate import Candidate
from models.heads.registry import config_of, method_of
from models.imaging.preprocess import Prepared
from models.sources.registry import DEFAULT_SOURCE, SourceSpec
from trainer.activations import ActivationStore
from trainer.fit_run import TrainingRun
from trainer.good_parts import StoredParts
from trainer.painted.paint import Painted
from trainer.painted.separation import Scores
from trainer.quiet import QuietDisplay

TIMINGS = 5


@dataclass(frozen=True)
class Tried:
    """How one candidate did. `separation` is the mean over kinds of the AUROC of good against painted pictures.

    `without` (n,) is the same without each of the n good pictures and what was painted on it, for the error bars.
    `ms` is the time of one image alone: source and head. `source` names the source it was tried on.
    """

    candidate: Candidate
    size: int
    separation: float
    without: Scores
    ms: float
    fit_s: float
    source: str = DEFAULT_SOURCE


class Separations(NamedTuple):
    """See Tried, whose `separation` and `without` they are."""

    overall: float
    without: Scores


@dataclass(frozen=True)
class Pictures:
    """What is tried on: good ones that are fitted to, others set aside, and defects painted on those.

    `origin` (m,) says on which of those set aside each defect was painted.
    """

    fitted: Sequence[Prepared]
    aside: Sequence[Prepared]
    defective: Sequence[Prepared]
    defects: Sequence[Painted]
    origin: Sequence[int]

    def __iter__(self) -> Iterator[Prepared]:
        yield from (*self.fitted, *self.aside, *self.defective)

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.fitted) + len(self.aside) + len(self.defective)


def try_all(
    candidates: Sequence[Candidate],
    pictures: Pictures,
    backend: SourceBackend,
    source: SourceSpec,
    *,
    seed: int,
    device: torch.device,
    work: Path,
    limit_bytes: int,
    told: Callable[[str], None],
) -> list[Tried]:
    """Every candidate on the same activations. One that cannot be fitted to so few pictures is told and left out."""
    size = pictures.fitted[0].shape[-1]
    needed = {tap for one in candidates for tap in _needs(one, source)}
    found = []
    with ExitStack() as opened:
        store = opened.enter_context(
            ActivationStore(
                *(pictures.count, size, backend, source, source.wanted(needed)), folder=work, limit_bytes=limit_bytes
            )
        )
        store.fill(iter(pictures))
        for candidate in candidates:
            run = TrainingRun(device, seed, QuietDisplay(), work, f"advise {size}")
            parts = StoredParts(store, range(len(pictures.fitted)), device, opened)
            started = time.monotonic()
            config = config_of(candidate.tried or candidate.settings)
            try:
                head = to_device(method_of(config.method).fit(config, parts, run), device)
            except ValueError as error:
                told(f"{candidate.name} at {size} pixels is left out: {error}")
                continue
            fit_s = time.monotonic() - started
            scores = stored_scores(head, store, range(len(pictures.fitted), pictures.count), device)
            good, painted = scores[: len(pictures.aside)], scores[len(pictures.aside) :]
            apart = separations(good, painted, pictures.defects, pictures.origin)
            found.append(Tried(candidate, size, *apart, _milliseconds(head, store, device), fit_s, source.name))
            told(f"{candidate.name} at {size} pixels: {found[-1].separation:.1%}, {found[-1].ms:.0f} ms an image")
    return found


def _needs(candidate: Candidate, source: SourceSpec) -> tuple[str, ...]:
    config = config_of(candidate.tried or candidate.settings)
    return method_of(config.method).needs(config, source).taps


def of_all_groups(of_groups: Sequence[Sequence[Tried]]) -> list[Tried]:
    """What was tried on the pictures of each group of channels -> the same for the part as a whole.

    Separations are means, times are sums: every group has its source pass and its head. A candidate that could not be
    fitted to one group is left out.
    """
    everything = [one for tried in of_groups for one in tried]
    by_candidate = ([one for one in everything if one.candidate == first.candidate] for first in of_groups[0])
    return [_together(alike) for alike in by_candidate if len(alike) == len(of_groups)]


def _together(tried: Sequence[Tried]) -> Tried:
    return Tried(
        tried[0].candidate,
        tried[0].size,
        float(np.mean([one.separation for one in tried])),
        np.mean([one.without for one in tried], axis=0),
        sum(one.ms for one in tried),
        sum(one.fit_s for one in tried),
        tried[0].source,
    )


def separations(good: Scores, painted: Scores, defects: Sequence[Painted], origin: Sequence[int]) -> Separations:
    """Scores (n,) of the pictures set aside, and (m,) of the defects painted on the picture `origin` of them.

    An AUROC is the share of pairs in which the painted one scores higher, a tie being half of one. So all are read off
    one table of pairs.
    """
    pairs = (painted[:, None] > good).astype(np.float64) + 0.5 * (painted[:, None] == good)
    on, kinds = np.asarray(origin), np.array([defect.kind for defect in defects])

    def mean_over_kinds(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> float:
        return float(np.mean([pairs[rows & (kinds == kind)][:, columns].mean() for kind in np.unique(kinds[rows])]))

    numbers = np.arange(len(good))
    without = [mean_over_kinds(on != number, numbers != number) for number in numbers]
    everything = mean_over_kinds(np.ones(len(painted), dtype=bool), np.ones(len(good), dtype=bool))
    return Separations(everything, np.array(without, dtype=np.float32))


def stored_scores(head: Head, store: ActivationStore, indices: Sequence[int], device: torch.device) -> Scores:
    """Scores (n,) of stored images; no map is made where the head needs none."""
    found = []
    for images, activations in store.batches(indices, device):
        further = None
        if head.needs.further_pass:
            further = store.backend.activations(head.changed(images, activations), head.needs.taps)
        found.append(head.judge(images, activations, [False] * len(images), further).scores.cpu().numpy())
    return np.concatenate(found)


def _milliseconds(head: Head, store: ActivationStore, device: torch.device) -> float:
    """Median over some images, one at a time, of source pass and head together."""
    taken = []
    for index in range(TIMINGS + 1):
        image = store.images([index % store.count], device)
        started = time.perf_counter()
        found = store.backend.activations(image, head.needs.taps)
        own: Mapping[str, torch.Tensor] = {tap: found[tap] for tap in head.needs.taps}
        further = None
        if head.needs.further_pass:
            further = store.backend.activations(head.changed(image, own), head.needs.taps)
        head.judge(image, own, [False], further).scores.tolist()
        taken.append(1000 * (time.perf_counter() - started))
    return float(np.median(taken[1:]))  # the first one warms up
