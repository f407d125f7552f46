"""Chooses whether the tiles of a picture share a head or have one each, for `--tile-heads auto`.

Both are fitted to some good pictures and asked to tell others from defects painted on them, as `--method auto` does.
One head for all tiles is taken unless heads of their own are better by more than one standard error: it sees all
pictures of all tiles, and takes no more time where there are hundreds of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

import numpy as np

from models.backends.base import SourceBackend, SourceKey
from models.backends.pool import SourcePool, source_key
from models.detector import Detector
from models.heads.base import Head, to_device
from models.heads.per_tile.fit import FEWEST, fit_per_tile
from models.heads.registry import method_of
from models.image_judge import ImageJudge, PreparedImage
from models.imaging.picture_views import PictureViews
from models.sources.registry import spec_of
from trainer.activations import ActivationStore
from trainer.advise.advice import drawn, painted_on
from trainer.advise.choice import standard_error
from trainer.advise.trial import separations
from trainer.config import TrainingSettings
from trainer.data import LIMITS, DataError, prepared_images
from trainer.fit_run import Display, TrainingRun
from trainer.good_parts import StoredParts
from trainer.painted.paint import Painted
from trainer.painted.separation import Scores
from trainer.quiet import QuietDisplay
from trainer.run import MethodChooser, TrainingJob
from trainer.training_set import TrainingSet


@dataclass(frozen=True)
class AutoTileHeads:
    """See MethodChooser. `before` chooses first what the tiles depend on."""

    before: MethodChooser | None = None

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """Settings whose tile_heads are shared or own, and both figures for the manifest. Raises DataError."""
        settings, record = (job.settings, {}) if self.before is None else self.before(job, found, display)
        if found.groups:
            display.say("one head for all tiles of each group of channels")
            return settings.model_copy(update={"tile_heads": "shared"}), record
        preprocessing = settings.preprocessing(found.sixteen_bit_white, found.sizes)
        views = PictureViews(preprocessing, job.regions)
        if reason := _no_choice(settings, len(found.files), views.count):
            display.say(f"one head for all tiles: {reason}")
            return settings.model_copy(update={"tile_heads": "shared"}), record
        trial = _Trial(job, settings, found, views)
        shared, own, error, pictures = trial.run()
        taken = "own" if own - shared > error else "shared"
        display.say(
            f"one head for all tiles tells painted defects from good pictures at {shared:.1%}, one for each at "
            f"{own:.1%}; taken: {taken} (one standard error is {error:.1%})"
        )
        figures: dict[str, object] = {"taken": taken, "shared": round(shared, 4), "own": round(own, 4)}
        figures |= {"standard_error": round(error, 4), "pictures": pictures}
        return settings.model_copy(update={"tile_heads": taken}), {**record, "tile_heads": figures}


def _no_choice(settings: TrainingSettings, pictures: int, views: int) -> str:
    """Why there is nothing to choose; empty where there is. Raises DataError for hardly any pictures."""
    name = settings.method.method
    if views == 1:
        return "there is one view"
    if not method_of(name).own_tiles:
        return f"the method {name} has no other way"
    fitted, _ = drawn(pictures, settings)
    return "" if len(fitted) >= FEWEST else f"{len(fitted)} pictures to try it with are too few"


@dataclass(frozen=True)
class _Trial:
    job: TrainingJob
    settings: TrainingSettings
    found: TrainingSet
    views: PictureViews

    def run(self) -> tuple[float, float, float, dict[str, int]]:
        """The separation of one head and of heads of their own, the standard error of their difference, and counts."""
        job, settings = self.job, self.settings
        fitted, aside = drawn(len(self.found.files), settings)
        source = source_key(settings.source, settings.normalisation, job.weights_file, settings.source_precision)
        pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
        heads = self._fitted(fitted, pool.require(source), source)
        judges = [ImageJudge(head, source, self.views.preprocessing, regions=self.views.regions) for head in heads]
        made, per_picture = painted_on(self.found, aside, settings.seed)
        defects: list[Painted] = []

        def prepared() -> Iterator[PreparedImage]:
            for one in made:
                defects.append(Painted(one.pixels[:1, :1], one.mask[:1, :1], one.kind, one.size_share, one.contrast))
                yield self.views.prepare(one.pixels)

        good = (self.views.prepare_file(self.found.files[index].read_bytes(), LIMITS) for index in aside)
        scores = _scores(judges, Detector(job.device, pool), chain(good, prepared()))
        origin = [number // per_picture for number in range(len(defects))]
        shared, own = (separations(one[: len(aside)], one[len(aside) :], defects, origin) for one in scores)
        counts = {"fitted": len(fitted), "set_aside": len(aside), "painted": len(defects)}
        return shared.overall, own.overall, standard_error(own.without, shared.without), counts

    def _fitted(self, pictures: Sequence[int], backend: SourceBackend, source: SourceKey) -> list[Head]:
        """One head for all tiles, and one with a head for each."""
        config, spec, count = self.settings.method, spec_of(source.source), self.views.count
        method = method_of(config.method)
        work = self.job.work / f"tiles-{os.getpid()}"
        files = tuple(self.found.files[index] for index in pictures)
        try:
            with ExitStack() as opened:
                taps = method.needs(config, spec).taps
                store = opened.enter_context(
                    ActivationStore(
                        *(len(files) * count, self.settings.image_size, backend, spec, taps),
                        folder=work,
                        limit_bytes=self.job.cache_limit_bytes,
                    )
                )
                store.fill(prepared_images(files, self.views))
                parts = StoredParts(store, range(store.count), self.job.device, opened)
                run = TrainingRun(self.job.device, self.settings.seed, QuietDisplay(), work, "tiles")
                found = [method.fit(config, parts, run), fit_per_tile(method, config, parts, run, count)]
                return [to_device(head, self.job.device) for head in found]
        except ValueError as error:
            raise DataError(str(error)) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _scores(judges: list[ImageJudge], detector: Detector, images: Iterator[PreparedImage]) -> list[Scores]:
    """Of each judge the scores of all images, which are made once and held one at a time."""
    found: list[list[float]] = [[] for _ in judges]
    for image in images:
        for scores, judge in zip(found, judges, strict=True):
            scores += [judgement.score for judgement in judge.judge_all(detector, [image])]
    return [np.array(scores, np.float32) for scores in found]
