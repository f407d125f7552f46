"""Proposes what a network sees of a picture (whole or tiles, and at which size) from the smallest defect and a budget.

    scale  network pixels to one of the camera, such that the smallest defect is DETAIL wide there, 1 at most
    whole  one view of the longer side times the scale
    tiles  views of a side over the scale, which overlap by a defect at least, so that each lies whole in one of them
    cost   views times the measured time of a source pass of that size, on this machine, one image at a time

The cheapest is taken; tiles where they cost less than the whole by TILES_SAVE at least, as the network sees too little
at their edges and a timing is not exact. Where it is over the budget, less detail is asked for, down to the last of
DETAILS.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import ValidationError

from models.backends.base import SourceBackend
from models.backends.pool import SourcePool, source_key
from models.heads.registry import config_of, method_of
from models.imaging.preprocess import Resize
from models.imaging.tiling import Tiling
from models.sources.registry import spec_of
from trainer.advise.candidates import SIZES, fine_candidates
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob
from trainer.training_set import TrainingSet

DETAILS = (
    12.0,
    10.0,
    8.0,
    6.0,
    4.0,
)  # network pixels of the smallest defect: 12 are three places of the finest tap, 4 one
TILE_SIZES = (128, 192, 256, 320, 384, 512)
STEP, SMALLEST, LARGEST = 32, 64, 1024  # of an image size
SAME_SHAPE = 1.05  # sides that differ by less are a square
LARGEST_TIMED = 512  # a larger pass is reckoned by its pixels: it takes seconds
TIMINGS = 2
TILES_SAVE = 0.2  # share of the time

Cost = Callable[[int], float]  # image size -> milliseconds of a source pass


class ViewOption(NamedTuple):
    """One way to see the pictures. `detail` is how many of the network's pixels the smallest defect is wide."""

    view: Resize
    image_size: int
    tiling: Tiling | None
    detail: float
    ms: float

    @property
    def words(self) -> str:
        """For a person."""
        if self.tiling is None:
            return f"the whole at {self.image_size} pixels ({self.view})"
        tiles = self.tiling
        return (
            f"{tiles.count} tiles of {tiles.side} pixels of the camera that overlap by {tiles.overlap}, "
            f"each seen at {self.image_size}"
        )

    def applied(self, settings: TrainingSettings) -> TrainingSettings:
        """The settings with this view."""
        tiles = self.tiling
        changes = {
            "view": self.view,
            "image_size": self.image_size,
            "tile_side": None if tiles is None else tiles.side,
            "tile_overlap": None if tiles is None else tiles.overlap,
        }
        return TrainingSettings.model_validate({**settings.model_dump(), **changes})


@dataclass(frozen=True)
class ViewProposal:
    """What is taken, and the cheapest options at each detail that was asked for, in that order."""

    taken: ViewOption
    tried: tuple[ViewOption, ...]
    smallest_defect: float
    cycle_ms: float | None

    def lines(self) -> Iterator[str]:
        """What was chosen and why, for a person."""
        taken, budget = self.taken, self.cycle_ms
        for one in self.tried[:-1]:
            yield f"a defect {one.detail:.0f} pixels wide: {one.words}, {one.ms:.0f} ms: over the {budget:g} ms"
        yield (
            f"chosen: {taken.words}: a defect of {self.smallest_defect:g} pixels of the camera is {taken.detail:.1f} "
            f"of the network's, and the source takes {taken.ms:.0f} ms for a picture here; the method comes on top"
        )
        if budget is not None and taken.ms > budget:
            yield f"beware: nothing that shows such a defect takes {budget:g} ms or less here; this takes least"
        elif len(self.tried) > 1:
            yield f"beware: {self.tried[0].detail:.0f} of the network's pixels would show it better"

    def record(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "smallest_defect": self.smallest_defect,
            "cycle_ms": self.cycle_ms,
            "why": list(self.lines()),
        }


@dataclass(frozen=True)
class AutoView:
    """Chooses view and image size of a fit, for `--image-size auto`. See trainer.run.MethodChooser.

    With `own_method` a large picture that is seen whole gets the first of `fine_candidates` in place of the
    settings' method, which is then that of tiles. With `whole` tiles are not considered.
    """

    smallest_defect: float
    cycle_ms: float | None = None
    own_method: bool = False
    whole: bool = False

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """See MethodChooser."""
        pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
        proposal = self.propose(found.sizes, job.settings, pool, job.weights_file, max(1, len(found.groups)))
        for line in proposal.lines():
            display.say(line)
        return self.with_method(proposal.taken, job.settings, display), {"view": proposal.record()}

    def with_method(self, taken: ViewOption, settings: TrainingSettings, display: Display) -> TrainingSettings:
        """The settings with this view, and with the method for it where that is left open."""
        seen = taken.applied(settings)
        if not self.own_method or taken.tiling is not None or taken.image_size <= max(SIZES):
            return seen
        candidate = fine_candidates(taken.image_size)[0]
        display.say(f"method: {candidate.name}, for small defects on large pictures; --method auto compares it")
        return seen.model_copy(update={"method": config_of(candidate.settings)})

    def propose(
        self,
        sizes: Sequence[tuple[int, int]],
        settings: TrainingSettings,
        pool: SourcePool,
        weights_file: Path | None,
        groups: int = 1,
    ) -> ViewProposal:
        """For pictures of those (width, height) and groups of channels, with the cost of the pool's machine."""
        key = source_key(settings.source, settings.normalisation, weights_file, settings.source_precision)
        method, backend = settings.method, pool.require(key)
        taps = method_of(method.method).needs(method, spec_of(key.source)).taps
        cost = measured_cost(backend, taps)
        return propose_view(
            sizes, self.smallest_defect, self.cycle_ms, lambda size: groups * cost(size), whole=self.whole
        )


def propose_view(
    sizes: Sequence[tuple[int, int]],
    smallest_defect: float,
    cycle_ms: float | None,
    cost: Cost,
    *,
    whole: bool = False,
) -> ViewProposal:
    """The proposal for pictures of those (width, height), `whole` ones alone or in tiles as well.

    Raises ValueError where no view shows such a defect.
    """
    tried: list[ViewOption] = []
    for detail in sorted({min(detail, smallest_defect) for detail in DETAILS}, reverse=True):
        options = [one for one in view_options(sizes, smallest_defect, detail, cost) if not (whole and one.tiling)]
        if options:
            tried.append(min(options, key=lambda one: one.ms if one.tiling is None else one.ms / (1 - TILES_SAVE)))
            if cycle_ms is None or tried[-1].ms <= cycle_ms:
                break
    if not tried:
        way = "whole view" if whole else "view"
        hint = "name a method, so that tiles may be taken" if whole else "name a --view"
        raise ValueError(f"no {way} of these pictures shows a defect of {smallest_defect:g} pixels: {hint}")
    return ViewProposal(tried[-1], tuple(tried), smallest_defect, cycle_ms)


def view_options(
    sizes: Sequence[tuple[int, int]], smallest_defect: float, detail: float, cost: Cost
) -> Iterator[ViewOption]:
    """All views under which the smallest defect is `detail` wide, or as wide as the camera has it."""
    scale = min(1.0, detail / smallest_defect)
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    size = max(SMALLEST, math.ceil(max(width, height) * scale / STEP) * STEP)
    if size <= LARGEST:
        square = all(max(one) <= SAME_SHAPE * min(one) for one in sizes)
        shown = smallest_defect * size / max(width, height)
        yield ViewOption("stretch" if square else "letterbox", size, None, shown, cost(size))
    if len(sizes) != 1:
        return  # tiles are laid out for one size
    for size in TILE_SIZES:
        side = round(size / scale)
        overlap = max(math.ceil(smallest_defect), side // 8)
        try:
            tiling = Tiling(side=side, overlap=overlap, width=width, height=height, version=2)
        except ValidationError:
            continue  # larger than the picture, too many, or too small for the overlap
        if tiling.count > 1:
            yield ViewOption("tiles", size, tiling, smallest_defect * size / side, tiling.count * cost(size))


def measured_cost(backend: SourceBackend, taps: Sequence[str]) -> Cost:
    """Milliseconds of one source pass up to those taps, the fastest of a few, measured once for each size."""

    @cache
    def cost(size: int) -> float:
        if size > LARGEST_TIMED:
            return cost(LARGEST_TIMED) * (size / LARGEST_TIMED) ** 2
        image = torch.from_numpy(np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32))
        backend.activations(image, taps)  # the first one allocates
        taken = []
        for _ in range(TIMINGS):
            started = time.perf_counter()
            backend.activations(image, taps)
            taken.append(1000 * (time.perf_counter() - started))
        return min(taken)

    return cost
