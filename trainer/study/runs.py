"""One run of a study (or one baseline) in, its figures out, as they stand in its result file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.backends.base import SourceKey
from models.heads.base import to_device
from trainer import metrics
from trainer.baselines import has_map, judge_baseline
from trainer.calibrate import Judged, calibrated, judge_stored
from trainer.config import TrainingSettings
from trainer.data import split
from trainer.figures import Evaluated, evaluated, measure, peaks, realised_of
from trainer.study.sets import StudySet
from trainer.study.stores import Seen, Stores
from trainer.study.trainings import Training, Trainings, known_settings

ROOT = Path(__file__).parents[2]
# What decides a trained run's or a baseline's figures beside the settings; recorded with every result.
METHOD_FILES = ("models/heads/*.py", "models/*.py", "trainer/loop.py", "trainer/figures.py", "trainer/metrics.py")
BASELINE_FILES = ("trainer/baselines.py", "trainer/figures.py", "trainer/metrics.py")


@dataclass(frozen=True)
class Run:
    """What is run: a variant's name with its settings, or a baseline's name with those of the runs beside it."""

    data: StudySet
    variant: str
    settings: TrainingSettings
    baseline: bool

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.settings.seed

    @property
    def title(self) -> str:
        """As it is told."""
        return f"{self.data.name}, {self.variant}, seed {self.seed}"

    def fingerprint(self, data: str, source: SourceKey, checkpoints: int) -> str:
        """The same for the same figures: settings, pictures, source, and how it is looked at."""
        settings = known_settings(self.settings)
        if self.baseline:  # only these decide
            decide = {"image_size", "seed", "hold_out", "source", "normalisation", "source_precision"}
            settings = {key: value for key, value in settings.items() if key in decide}
        what: dict[str, object] = {"variant": self.variant if self.baseline else "", "settings": settings, "data": data}
        what |= {"source": source.sha256, "checkpoints": 0 if self.baseline else checkpoints}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]


def code_mark(*, baseline: bool) -> str:
    """A hash of the code that decides the figures: results of other code are told apart in the table."""
    files = sorted(file for pattern in (BASELINE_FILES if baseline else METHOD_FILES) for file in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def checkpoint_steps(steps: int, count: int) -> list[int]:
    """`count` steps spread evenly over the last third, the last step included."""
    first = steps - steps // 3
    spread = np.linspace(first, steps, count) if count > 1 else np.array([steps])
    return sorted({max(1, round(float(step))) for step in spread})


class Runner:
    """Runs runs on one device."""

    def __init__(self, stores: Stores, trainings: Trainings, device: torch.device, checkpoints: int) -> None:
        self._stores = stores
        self._trainings = trainings
        self._device = device
        self._checkpoints = checkpoints

    def figures(self, run: Run, seen: Seen, source: SourceKey, key: str) -> dict[str, object]:
        """Trains (or not), calibrates, judges. `key` is of the training. Raises FitDiverged."""
        started = time.monotonic()
        chosen, held = split(len(seen.good.files), run.settings.hold_out, run.seed)
        if run.baseline:
            both = judge_baseline(
                run.variant, seen.store, chosen, held, [*held, *seen.labelled], self._device, run.seed
            )
            held_out = Judged(both.scores[: len(held)], both.maps[: len(held)])
            test = Judged(both.scores[len(held) :], both.maps[len(held) :])
            points: list[dict[str, object]] = []
            found = self._measured(run, seen, held_out, test, with_map=has_map(run.variant))
        else:
            held_out, test, points, trained = self._trained(run, seen, source, held, key)
            found = {**self._measured(run, seen, held_out, test, with_map=True), **trained}
        found["checkpoints"] = points
        found["seconds"] = round(time.monotonic() - started, 1)
        return found

    def _trained(
        self, run: Run, seen: Seen, source: SourceKey, held: list[int], key: str
    ) -> tuple[Judged, Judged, list[dict[str, object]], Mapping[str, float]]:
        store, indices = self._stores.training(seen, source, run.settings)
        steps = checkpoint_steps(run.settings.steps, self._checkpoints)
        training = Training(run.title, run.settings, key, store, indices, steps)
        points: list[dict[str, object]] = []
        for trained in self._trainings.trained(training):
            found = trained.trainee.finish(store.batches(indices, self._device), seen.store.batches(held, self._device))
            head = to_device(found, self._device)
            test = judge_stored(head, seen.store, seen.labelled, self._device)
            points.append({"step": trained.step, **_short_figures(seen, test)})
        return judge_stored(head, seen.store, held, self._device), test, points, trained.losses

    def _measured(self, run: Run, seen: Seen, held_out: Judged, test: Judged, *, with_map: bool) -> dict[str, object]:
        calibration = calibrated(held_out, run.settings)
        light = float(seen.store.brightness(range(len(seen.good.files))).mean())
        found: list[Evaluated] = evaluated(seen.truth, test, calibration)
        numbers = measure(found, calibration, light, with_map=with_map)
        numbers |= realised_of(held_out.scores, peaks(held_out) if with_map else None, test, seen.truth)
        numbers["held_out"] = len(held_out.scores)
        numbers["trained"] = len(seen.good.files) - len(held_out.scores)
        return numbers


def _short_figures(seen: Seen, test: Judged) -> dict[str, object]:
    """Image AUROC, and pixel AUROC at the maps' own size: what a look at a checkpoint takes."""
    found: dict[str, object] = {"image_auroc": metrics.auroc(seen.truth.anomalous, test.scores), "pixel_auroc": None}
    known = [number for number, mask in enumerate(seen.truth.masks) if mask is not None]
    size = test.maps.shape[-1]
    masks = [seen.truth.small_mask(number, size) for number in known]
    if any(mask.any() for mask in masks):
        found["pixel_auroc"] = metrics.pixel_auroc(masks, [test.maps[number] for number in known])
    return found
