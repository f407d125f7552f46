"""Chooses method, image size and, where that is asked for, the source of a fit by advice, for `--method auto`."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.advise.advice import AdviceJob, advise
from trainer.advise.candidates import SIZES
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob
from trainer.training_set import TrainingSet


@dataclass(frozen=True)
class Auto:
    """Within `cycle_ms` an image where there is a budget, among `sizes`, and among `sources` where there are any."""

    cycle_ms: float | None = None
    sizes: tuple[int, ...] = SIZES
    sources: tuple[str, ...] = ()

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """See MethodChooser. Says the whole table."""
        advice = advise(
            AdviceJob(
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
            ),
            display,
        )
        for line in advice.lines():
            display.say(line)
        return advice.settings, {"auto": advice.record()}
