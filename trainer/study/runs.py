"""One run of a study, a variant or a control: the figures that stand in its result file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.backends.base import SourceKey
from models.calibration.recalibration import ScoresAndMaps, calibrated
from models.heads.base import Head, to_device
from models.heads.registry import method_of
from trainer import metrics
from trainer.calibrate import judge_stored
from trainer.config import TrainingSettings
from trainer.data import split
from trainer.figures import Evaluated, evaluated, measure, peaks, realised_of
from trainer.realised import caught
from trainer.study.controls import control_scores
from trainer.study.sets import StudySet
from trainer.study.stores import StoredSet, Stores, TrainingImages
from trainer.study.trainings import StudyRun, Trainings

ROOT = Path(__file__).parents[2]
# What decides the figures beside the settings; recorded with every result.
CODE = (
    "models/heads/**/*.py",
    "models/calibration/*.py",
    "trainer/loop.py",
    "trainer/figures.py",
    "trainer/metrics.py",
)
SEEN_SETTINGS = {"image_size", "hold_out", "augmentation"}  # that decide the images, beside data, source and seed
CONTROL_SETTINGS = frozenset({"image_size", "seed", "hold_out", "source", "normalisation", "source_precision"})


@dataclass(frozen=True)
class Run:
    """What is run: a variant's name with its settings, or a control's name with those of the runs beside it."""

    data: StudySet
    variant: str
    settings: TrainingSettings
    control: bool

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.settings.seed

    @property
    def title(self) -> str:
        """As it is told."""
        return f"{self.data.name}, {self.variant}, seed {self.seed}"

    def fingerprint(self, data: str, source: SourceKey, looks: int) -> str:
        """The same for the same figures: settings, pictures, source, and how often it is looked at."""
        include = set(CONTROL_SETTINGS) if self.control else None
        settings = self.settings.model_dump(mode="json", include=include)
        what: dict[str, object] = {"variant": self.variant if self.control else "", "settings": settings, "data": data}
        what |= {"source": source.sha256, "looks": 0 if self.control else looks}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]


def code_mark() -> str:
    """A hash of the code that decides the figures: results of other code are told apart in the table."""
    files = sorted(file for pattern in CODE for file in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


class Runner:
    """Runs runs on one device."""

    def __init__(self, stores: Stores, trainings: Trainings, looks: int) -> None:
        self._stores = stores
        self._trainings = trainings
        self._looks = looks

    def figures(self, run: Run, seen: StoredSet, source: SourceKey, data: str) -> dict[str, object]:
        """Fits (or not), calibrates, judges. `data` is the hash of the pictures. Raises FitDiverged."""
        started = time.monotonic()
        chosen, held = split(len(seen.good.files), run.settings.hold_out, run.seed)
        if run.control:
            scores = control_scores(run.variant, seen.store, chosen, [*held, *seen.labelled], self._trainings.device)
            held_out, test = (_without_maps(part) for part in (scores[: len(held)], scores[len(held) :]))
            found = self._measured(run, seen, held_out, test, with_map=False)
            found["checkpoints"] = []
        else:
            found = self._fitted(run, seen, source, held, data)
        found["seconds"] = round(time.monotonic() - started, 1)
        return found

    def _fitted(
        self, run: Run, seen: StoredSet, source: SourceKey, held: Sequence[int], data: str
    ) -> dict[str, object]:
        device = self._trainings.device
        images = self._stores.training(seen, source, run.settings)
        points: list[dict[str, object]] = []
        for head, fitted in self._looks_of(run, images, images_key(data, source, run.settings)):
            started = time.monotonic()
            test = judge_stored(head, seen.store, seen.labelled, device)
            judged_s = time.monotonic() - started
            points.append({"step": fitted.step, **_short_figures(seen, test)})
        found = self._measured(run, seen, judge_stored(head, seen.store, held, device), test, with_map=True)
        found |= {"checkpoints": points, "head_bytes": head.size_bytes, **fitted.notes}
        found["head_ms_per_image"] = round(1000 * judged_s / max(1, len(test.scores)), 2)
        return found

    def _looks_of(self, run: Run, images: TrainingImages, key: str) -> Iterator[tuple[Head, StudyRun]]:
        """The head as of each look, the end last; a method without steps has only the end."""
        method, config = method_of(run.settings.method.method), run.settings.method
        for look in range(self._looks):
            study_run = StudyRun(self._trainings, run.title, key, run.seed, look, self._looks)
            with ExitStack() as opened:
                parts = images.parts(study_run.device, opened)
                head = to_device(method.fit(config, parts, study_run), study_run.device)
            yield head, study_run
            if not study_run.has_steps:
                return

    def _measured(
        self, run: Run, seen: StoredSet, held_out: ScoresAndMaps, test: ScoresAndMaps, *, with_map: bool
    ) -> dict[str, object]:
        calibration = calibrated(held_out, run.settings)
        light = float(seen.store.brightness(range(len(seen.good.files))).mean())
        found: list[Evaluated] = evaluated(seen.truth, test, calibration)
        numbers = measure(found, calibration, light, with_map=with_map)
        numbers |= realised_of(held_out.scores, peaks(held_out) if with_map else None, test, seen.truth)
        numbers["caught"] = caught(held_out.scores, test.scores[seen.truth.anomalous])
        numbers["held_out"] = len(held_out.scores)
        numbers["trained"] = len(seen.good.files) - len(held_out.scores)
        return numbers


def images_key(data: str, source: SourceKey, settings: TrainingSettings) -> str:
    """The same for runs that train on the same images of the same source.

    A setting that is as by default is not in it, so weights from before there was such a setting stay in use.
    """
    chosen = settings.model_dump_json(include=SEEN_SETTINGS, exclude_defaults=True)
    return f"{data} {source}" + ("" if chosen == "{}" else f" {chosen}")


def _without_maps(scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ScoresAndMaps:
    return ScoresAndMaps(scores, np.zeros((len(scores), 1, 1), np.float32))


def _short_figures(seen: StoredSet, test: ScoresAndMaps) -> dict[str, object]:
    """Image AUROC, and pixel AUROC at the maps' own size: what a look takes."""
    found: dict[str, object] = {"image_auroc": metrics.auroc(seen.truth.anomalous, test.scores), "pixel_auroc": None}
    known = [number for number, mask in enumerate(seen.truth.masks) if mask is not None]
    size = test.maps.shape[-1]
    masks = [seen.truth.small_mask(number, size) for number in known]
    if any(mask.any() for mask in masks):
        found["pixel_auroc"] = metrics.pixel_auroc(masks, [test.maps[number] for number in known])
    return found
