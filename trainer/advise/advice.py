"""Advice on a folder of good pictures: the table of what was tried, what is taken, and why.

Pictures that a fit with the same settings would hold out for its calibration take no part in it, so that the promise of
the thresholds is not touched by the choice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.backends.base import SourceBackend, SourceKey
from models.backends.choice import BackendName
from models.backends.pool import SourcePool, source_key
from models.heads.candidate import Candidate
from models.heads.registry import config_of
from models.imaging.channels import group_picture
from models.imaging.masks import Mask
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Prepared
from models.imaging.regions import Regions
from models.sources.registry import SourceSpec, spec_of
from models.sources.weights import SourceWeightsError
from trainer.activations import DEFAULT_LIMIT_BYTES
from trainer.advise.candidates import SIZES, all_candidates
from trainer.advise.choice import Choice, choose
from trainer.advise.trial import Pictures, Tried, of_all_groups, try_all
from trainer.config import TrainingSettings
from trainer.data import DataError, prepared_images, read_pixels, split
from trainer.fit_run import Display, seeded
from trainer.painted.fine import fine_set
from trainer.painted.paint import Painted
from trainer.painted.painted_set import painted_set
from trainer.training_set import TrainingSet

MOST_FITTED = 200
MOST_ASIDE = 60
FEWEST = 6  # pictures to fit to; half as many are set aside at least
ASIDE = 0.25
DEFECTS = 144  # painted in all, about: a dozen of each kind


@dataclass(frozen=True)
class AdviceJob:
    """What is advised on, for which budget, and where. `settings` are those of the fit, but for what is chosen.

    `candidates` are tried in place of those of all methods. With `smallest_defect`, in pixels of the camera across,
    defects of that width and a little above are painted; with `regions` those alone count that lie inside.
    """

    found: TrainingSet
    settings: TrainingSettings
    work: Path
    cycle_ms: float | None = None
    sizes: tuple[int, ...] = SIZES
    sources: tuple[str, ...] = ()  # those tried; without any, that of the settings
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    backend: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None
    cache_limit_bytes: int = DEFAULT_LIMIT_BYTES
    candidates: tuple[Candidate, ...] = ()
    smallest_defect: float | None = None
    regions: Regions | None = None


@dataclass(frozen=True)
class Advice:
    """The choice, and all that was tried for it."""

    choice: Choice
    tried: tuple[Tried, ...]
    job: AdviceJob
    pictures: tuple[int, int, int]  # fitted to, set aside, painted

    @property
    def settings(self) -> TrainingSettings:
        """The settings to fit with."""
        taken = self.choice.taken
        method = config_of(taken.candidate.settings)
        chosen = {"method": method, "image_size": taken.size, "source": taken.source}
        return self.job.settings.model_copy(update=chosen)

    def record(self) -> dict[str, object]:
        """For the manifest: why, by which pictures, and the whole table."""
        fitted, aside, painted = self.pictures
        return {
            "why": self.choice.why,
            "cycle_ms": self.job.cycle_ms,
            "pictures": {"fitted": fitted, "set_aside": aside, "painted": painted},
            "table": [_row(one) for one in self._ordered()],
        }

    def lines(self) -> Iterator[str]:
        """The table and the reason, for a person."""
        fitted, aside, painted = self.pictures
        yield f"fitted to {fitted} good pictures; {aside} others against {painted} defects painted on them"
        several = len({one.source for one in self.tried}) > 1
        yield f"{'method':<28} {'size':>4} {'painted %':>9} {'ms':>6} {'fit s':>6}" + (" source" if several else "")
        for one in self._ordered():
            mark = "<- taken" if one is self.choice.taken else ""
            late = "over the budget" if self.job.cycle_ms is not None and one.ms > self.job.cycle_ms else mark
            name = one.candidate.name + (" *" if one.candidate.tried else "")
            figures = f"{100 * one.separation:>9.1f} {one.ms:>6.1f} {one.fit_s:>6.1f}"
            source = f" {one.source}" if several else ""
            yield f"{name:<28} {one.size:>4} {figures}{source} {late}".rstrip()
        if any(one.candidate.tried for one in self.tried):
            yield "* measured without its cloner, which takes minutes to train and sharpens the map, not the score"
        yield self.choice.why

    def _ordered(self) -> list[Tried]:
        return sorted(self.tried, key=lambda one: -one.separation)


def advise(job: AdviceJob, display: Display) -> Advice:
    """Tries all candidates at all sizes, on all sources that are asked for.

    Raises DataError for too few pictures, or where none is within the budget; SourceWeightsError where no source's
    weights are at hand. Where parts have groups of channels, each is tried on the pictures of every group, and one is
    taken for all.
    """
    fitted, aside = drawn(len(job.found.files), job.settings)
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    keys = _keys(job, display)
    painted = [painted_on_group(job, aside, group) for group in range(max(1, len(job.found.groups)))]
    tried: list[Tried] = []
    for size in job.sizes:
        pictures = [
            _pictures(job, size, group, fitted, aside, defects, origin)
            for group, (defects, origin) in enumerate(painted)
        ]
        for key in keys:
            tried += of_all_groups(_tried(job, pool.require(key), spec_of(key.source), pictures, display))
    if not tried:
        raise DataError("no method could be fitted to these pictures; the lines above say why")
    return Advice(
        choose(tried, job.cycle_ms),
        tuple(tried),
        job,
        (len(fitted), len(aside), sum(len(defects) for defects, _ in painted)),
    )


def _keys(job: AdviceJob, display: Display) -> list[SourceKey]:
    """Of the sources that are tried; one whose weights are not at hand is told, and left out where there is another."""
    found, failures, settings = list[SourceKey](), list[SourceWeightsError](), job.settings
    for name in job.sources or (settings.source,):
        try:
            found.append(source_key(name, settings.normalisation, job.weights_file, settings.source_precision))
        except SourceWeightsError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    for failure in failures:
        display.say(f"not tried: {failure}")
    return found


def _tried(
    job: AdviceJob, backend: SourceBackend, source: SourceSpec, pictures: Sequence[Pictures], display: Display
) -> list[list[Tried]]:
    """All candidates on one source, on the pictures of each group of channels."""
    work = job.work / f"advise-{os.getpid()}"
    candidates = job.candidates or all_candidates()
    names = [f"{group.name}: " for group in job.found.groups] or [""]
    try:
        return [
            try_all(
                *(candidates, of_group, backend, source),
                seed=job.settings.seed,
                device=job.device,
                work=work,
                limit_bytes=job.cache_limit_bytes,
                told=lambda text, name=name: display.say(f"{name}{text}"),  # type: ignore[misc]
            )
            for name, of_group in zip(names, pictures, strict=True)
        ]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def painted_on_group(job: AdviceJob, aside: Sequence[int], group: int = 0) -> tuple[list[Painted], list[int]]:
    """Defects on the pictures of one group, and on which of `aside` each is."""
    made, per_picture = painted_on(job.found, aside, job.settings.seed, group, job.smallest_defect)
    found = [(one, number // per_picture) for number, one in enumerate(made) if _is_seen(one.mask, job.regions)]
    if not found:
        raise DataError("no painted defect lies where pictures are looked at: name a method, or larger regions")
    painted, origin = zip(*found, strict=True)
    return list(painted), list(origin)


def _is_seen(mask: Mask, regions: Regions | None) -> bool:
    """Whether half of a defect lies inside the regions at least."""
    if regions is None:
        return True
    inside = regions.on_map(mask.shape[1], mask.shape[0])
    return int((mask & inside).sum()) * 2 >= int(mask.sum())


def _pictures(
    job: AdviceJob,
    size: int,
    group: int,
    fitted: Sequence[int],
    aside: Sequence[int],
    defects: Sequence[Painted],
    origin: Sequence[int],
) -> Pictures:
    """Those of one group. Raises DataError for pictures in tiles."""
    settings = job.settings.model_copy(update={"image_size": size})
    preprocessing = settings.preprocessing(job.found.sixteen_bit_white, groups=job.found.groups)
    views = PictureViews(preprocessing, job.regions)
    if views.per_group != 1:
        raise DataError("a method cannot be chosen for pictures in tiles: name one by --method")
    alone = PictureViews(settings.preprocessing(job.found.sixteen_bit_white), job.regions)

    def of(indices: Sequence[int]) -> list[Prepared]:
        files = tuple(job.found.files[index] for index in indices)
        return list(islice(prepared_images(files, views), group, None, views.count))

    return Pictures(of(fitted), of(aside), [alone.prepare(one.pixels).whole for one in defects], defects, origin)


def drawn(count: int, settings: TrainingSettings) -> tuple[Sequence[int], Sequence[int]]:
    """Of `count` pictures those to fit to, and those set aside; what a fit holds out is in neither.

    Raises DataError for too few.
    """
    training, _ = split(count, settings.hold_out, settings.seed)
    order = np.asarray(training)[torch.randperm(len(training), generator=seeded(settings.seed, "advise")).numpy()]
    aside = min(MOST_ASIDE, max(FEWEST // 2, round(ASIDE * len(order))))
    if len(order) < aside + FEWEST:
        raise DataError(
            f"{len(order)} pictures to train on are too few to choose by: at least {FEWEST + FEWEST // 2} are needed. "
            "Name what is to be taken"
        )
    return sorted(order[aside : aside + MOST_FITTED].tolist()), sorted(order[:aside].tolist())


def painted_on(
    found: TrainingSet, aside: Sequence[int], seed: int, group: int = 0, smallest: float | None = None
) -> tuple[Iterator[Painted], int]:
    """Defects on those pictures, of parts on those of that group, made as they are asked for; and how many on each.

    Of all sizes, or with `smallest` so many pixels wide and a little above.
    """
    per_picture = max(1, round(DEFECTS / len(aside) / max(1, len(found.groups))))
    pictures = (group_picture(read_pixels(found.files[one], found.groups), found.groups, group) for one in aside)
    if smallest is not None:
        return fine_set(pictures, per_picture, seed + group, smallest), per_picture
    return painted_set(pictures, per_picture, seed + group), per_picture


def _row(one: Tried) -> dict[str, Any]:
    return {
        "name": one.candidate.name,
        "size": one.size,
        "source": one.source,
        "painted_auroc": round(one.separation, 4),
        "ms": round(one.ms, 2),
        "without_cloner": bool(one.candidate.tried),
    }
