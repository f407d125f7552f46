"""Says whether changed copies of few pictures would help, and never takes them.

Whether a mirrored or turned part is a good part only a person knows (trainer.same_part).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from models.backends.pool import SourcePool, source_key
from models.heads.registry import method_of
from models.imaging.picture_views import PictureViews
from models.sources.registry import spec_of
from trainer.activations import ActivationStore
from trainer.advise.advice import AdviceJob, drawn, painted_on_group
from trainer.advise.choice import standard_error
from trainer.advise.copies_trial import SETTINGS, CopiedPictures, CopiesTrial, TriedCopies
from trainer.data import DataError, split
from trainer.fit_run import Display
from trainer.same_part import CHANGES_OF

MOST_PICTURES = 150  # to train on: more of them have little to gain, and copies of all of them take minutes


@dataclass(frozen=True)
class CopiesAdvice:
    """All that was tried, pictures as they are first; `pictures` were fitted to, at `size` pixels."""

    tried: tuple[TriedCopies, ...]
    pictures: int
    size: int

    @property
    def best(self) -> TriedCopies | None:
        """What makes other good pictures likelier and gains more than one standard error on painted defects, or None.

        Of several that lie within one standard error of the best the one with the fewest copies: each change is
        something that is not seen any more.
        """
        plain = self.tried[0]
        helping = [one for one in self.tried[1:] if one.cost < plain.cost and _better(one, plain)]
        tied = [one for one in helping if not any(_better(other, one) for other in helping)]
        return min(tied, key=lambda one: (one.images, one.cost), default=None)

    def lines(self) -> Iterator[str]:
        """The table and what it says, for a person."""
        plain, best = self.tried[0], self.best
        yield (
            f"changed copies of {self.pictures} pictures (mkd without its cloner at {self.size} pixels): what other "
            "good pictures gain in log likelihood, nats a place, and how well painted defects are told from them"
        )
        yield f"{'--augment-same':<16} {'images':>6} {'nats':>6} {'painted %':>9}"
        for one in self.tried:
            yield f"{one.same:<16} {one.images:>6} {plain.cost - one.cost:>+6.1f} {100 * one.painted.overall:>9.1f}"
        if best is None:
            yield "changed copies would not help here"
            return
        yield (
            f"if a part that is mirrored or turned so is a good part, --augment-same {best.same} would help: painted "
            f"defects are told at {best.painted.overall:.1%} instead of {plain.painted.overall:.1%}"
        )
        yield (
            "beware: such a part is then never told from the others. Where it is a defect (a flipped nut, say), leave "
            "it at none; nothing chooses it for you"
        )


def _better(one: TriedCopies, other: TriedCopies) -> bool:
    """Whether painted defects are told better by more than one standard error of the difference."""
    error = standard_error(one.painted.without, other.painted.without)
    return one.painted.overall - other.painted.overall > error


def advise_copies(job: AdviceJob, display: Display) -> CopiesAdvice | None:
    """None, and a word why, where there are more than MOST_PICTURES to train on. Raises DataError for too few.

    At the smallest of the sizes: 8 source passes for each picture that is fitted to, 4 where pictures are not square.
    """
    training, _ = split(len(job.found.files), job.settings.hold_out, job.settings.seed)
    if len(training) > MOST_PICTURES:
        display.say(f"changed copies are not tried: {len(training)} pictures to train on are more than {MOST_PICTURES}")
        return None
    settings = job.settings.model_copy(update={"image_size": min(job.sizes)})
    pictures = _pictures(job, PictureViews(settings.preprocessing(job.found.sixteen_bit_white)))
    key = source_key(settings.source, settings.normalisation, job.weights_file, settings.source_precision)
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    backend, source = pool.require(key), spec_of(key.source)
    taps = method_of(SETTINGS.method).needs(SETTINGS, source).taps
    work = job.work / f"copies-{os.getpid()}"
    try:
        with ExitStack() as opened:
            store = opened.enter_context(
                ActivationStore(
                    *(pictures.count, settings.image_size, backend, source, taps),
                    folder=work,
                    limit_bytes=job.cache_limit_bytes,
                )
            )
            with display.bar("source activations of changed copies", pictures.count) as bar:
                store.fill(iter(pictures), bar.update)
            trial = CopiesTrial(pictures, store, job.device, settings.seed)
            within = (one for one in CHANGES_OF if set(CHANGES_OF[one]) <= set(CHANGES_OF[pictures.widest]))
            tried = tuple(trial.tried(same, opened) for same in within)
    except ValueError as error:
        raise DataError(f"changed copies cannot be tried: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return CopiesAdvice(tried, len(pictures.fitted), settings.image_size)


def _pictures(job: AdviceJob, views: PictureViews) -> CopiedPictures:
    files = job.found.files
    fitted, aside = drawn(len(files), job.settings)
    painted, origin = painted_on_group(job, aside)
    square = all(width == height for width, height in job.found.sizes)
    return CopiedPictures(
        fitted=[files[index] for index in fitted],
        aside=[files[index] for index in aside],
        defects=painted,
        origin=origin,
        views=views,
        widest="all" if square else "both",
    )
