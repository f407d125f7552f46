"""Chooses method, image size and, where that is asked for, the source of a fit by advice, for `--method auto`.

With `--image-size auto` the view is chosen before, by the smallest defect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainer.advise.advice import AdviceJob, advise
from trainer.advise.candidates import SIZES, fine_candidates
from trainer.advise.view_size import AutoView
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob
from trainer.training_set import TrainingSet


@dataclass(frozen=True)
class Auto:
    """Within `cycle_ms` an image where there is a budget, among `sizes`, and among `sources` where there are any.

    With `smallest_defect`, in pixels of the camera across, for defects of that width and a little above.
    """

    cycle_ms: float | None = None
    sizes: tuple[int, ...] = SIZES
    sources: tuple[str, ...] = ()
    smallest_defect: float | None = None

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """See MethodChooser. Says the whole table."""
        asked = AdviceJob(
            found=found,
            settings=job.settings,
            work=job.work,
            cycle_ms=self.cycle_ms,
            sizes=self.sizes,
            sources=self.sources,
            device=job.device,
            backend=job.backend,
            threads=job.threads,
            weights_file=job.weights_file,
            cache_limit_bytes=job.cache_limit_bytes,
            regions=job.regions,
        )
        if self.smallest_defect is not None:
            candidates = fine_candidates(max(self.sizes))
            asked = replace(asked, candidates=candidates, smallest_defect=self.smallest_defect)
        advice = advise(asked, display)
        for line in advice.lines():
            display.say(line)
        return advice.settings, {"auto": advice.record()}


@dataclass(frozen=True)
class ViewThenMethod:
    """The view by the smallest defect first, then the method at its size. See MethodChooser.

    Of the views whole ones alone: methods are not compared on tiles.
    """

    view: AutoView
    sources: tuple[str, ...] = ()

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """Raises ValueError where no whole view shows such a defect."""
        settings, of_view = replace(self.view, whole=True)(job, found, display)
        method = Auto(self.view.cycle_ms, (settings.image_size,), self.sources, self.view.smallest_defect)
        settings, of_method = method(replace(job, settings=settings), found, display)
        return settings, {**of_view, **of_method}
