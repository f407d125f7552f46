"""Times a fit on the first pictures: the source pass, one look at the pictures, some steps of training, a judgement.

Everything is thrown away afterwards. Random numbers outside go on as if nothing had been tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.heads.base import GoodParts, Trainable, to_device
from models.heads.parts.loop_settings import LoopSettings
from models.heads.registry import method_of
from models.sources.registry import Activations
from trainer.activations import ActivationStore
from trainer.calibrate import judge_stored
from trainer.fit_run import TrainingRun
from trainer.fitting import Fitting
from trainer.good_parts import StoredParts
from trainer.loop import GradientLoop, Progress
from trainer.quiet import QuietDisplay

PICTURES = 16
STEPS = 4  # the first of them warms up
JUDGED = 8  # views


class Trained(NamedTuple):
    """One training of the method: how many steps it asked for, and the seconds of one."""

    steps: int
    step_s: float


class FurtherPass(NamedTuple):
    """A pass over changed images that a fit asked for: their side, and the taps that are kept."""

    size: int
    taps: tuple[str, ...]


class Trial(NamedTuple):
    """Seconds of one view: `prepare_s` from file to input, `source_s` its pass, `fit_s` of the fit without its steps,
    `judge_s` of the head with a map. `bytes` are of the head for each view: a bank grows with them."""

    prepare_s: float
    source_s: float
    fit_s: float
    trainings: Sequence[Trained]
    judge_s: float
    bytes: float
    further: Sequence[FurtherPass] = ()


class TriedParts(StoredParts):
    """Good parts that remember the further passes that were asked for."""

    def __init__(self, store: ActivationStore, indices: Sequence[int], device: torch.device, opened: ExitStack) -> None:
        super().__init__(store, indices, device, opened)
        self.further: list[FurtherPass] = []

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> StoredParts:
        """See GoodParts."""
        parts = super().changed(change)
        self.further.append(FurtherPass(parts.image_size, parts.taps))
        return parts


class TimedRun(TrainingRun):
    """A run whose trainings end after STEPS steps."""

    def __init__(self, device: torch.device, seed: int, work: Path) -> None:
        super().__init__(device, seed, QuietDisplay(), work, "forecast")
        self._checkpoint = work / "forecast.safetensors"
        self.trainings: list[Trained] = []
        self.in_steps_s = 0.0

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        """See FitRun."""
        short = settings.model_copy(update={"steps": STEPS})
        loop = GradientLoop(
            *(trainable.to(self.device), parts, short), seed=self.seed, checkpoint=self._checkpoint, fingerprint=""
        )
        began = time.monotonic()
        ends: list[float] = []

        def told(progress: Progress) -> None:
            ends.append(time.monotonic())

        loop.run(told)
        self.trainings.append(Trained(settings.steps, (ends[-1] - ends[0]) / (STEPS - 1)))
        self.in_steps_s += time.monotonic() - began


def try_fit(fitting: Fitting) -> Trial:
    """Raises ValueError or FitDiverged where the method cannot be fitted to so few pictures."""
    began = time.monotonic()
    views = list(fitting.images(range(min(PICTURES, len(fitting.found.files)))))
    prepare_s = (time.monotonic() - began) / len(views)
    with ExitStack() as opened, torch.random.fork_rng(devices=_devices(fitting.device)):
        store = opened.enter_context(
            ActivationStore(
                *(len(views), fitting.settings.image_size, fitting.backend, fitting.spec, fitting.taps),
                folder=fitting.work,
                limit_bytes=fitting.cache_limit_bytes,
            )
        )
        store.fill(iter(views))  # the first pass warms up
        began = time.monotonic()
        store.fill(iter(views))
        source_s = (time.monotonic() - began) / len(views)
        run = TimedRun(fitting.device, fitting.settings.seed, fitting.work)
        rows = first_group(fitting, len(views))
        parts = TriedParts(store, rows, fitting.device, opened)
        method = fitting.settings.method
        began = time.monotonic()
        head = to_device(method_of(method.method).fit(method, parts, run), fitting.device)
        fit_s = (time.monotonic() - began - run.in_steps_s) / len(rows)
        judged = rows[:JUDGED]
        began = time.monotonic()
        judge_stored(head, store, judged, fitting.device)
        judge_s = (time.monotonic() - began) / len(judged)
    return Trial(prepare_s, source_s, fit_s, run.trainings, judge_s, head.size_bytes / len(rows), parts.further)


def first_group(fitting: Fitting, count: int) -> list[int]:
    """Those of `count` views that are of the first group of channels; all where there are no groups."""
    return [row for row in range(count) if row % fitting.views.count < fitting.views.per_group]


def _devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
