"""A run's settings in, its trained cloners out, one for each step that is looked at: trained once and kept.

Runs that differ only in how they judge (score, map, thresholds) share a training; one that is added later costs none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from models.backends.base import SourceKey
from models.heads.mkd.fit import MkdRecipe, MkdTrainee
from trainer.activations import ActivationStore
from trainer.config import TrainingSettings
from trainer.loop import Fit, Progress
from trainer.run import Display

JUDGING_SETTINGS = frozenset(
    {"recipe_name", "recipe", "review_rate", "ng_rate", "map_rate", "calibrate_under", "tail_fit"}
)
LATER_SETTINGS: Mapping[str, object] = {"tail_fit": False, "calibrate_under": [], "source_precision": "float32"}
LATER_METHOD: Mapping[str, object] = {"map_log": False}


@dataclass(frozen=True)
class Trained:
    """A trainee as it was at that step (averaged weights, ready to be finished), and how the losses went."""

    step: int
    trainee: MkdTrainee
    losses: Mapping[str, float]


class Training(NamedTuple):
    """What is to be trained: on those images of the store, looked at after those steps. `key` is `training_key`'s."""

    title: str
    settings: TrainingSettings
    key: str
    store: ActivationStore
    indices: Sequence[int]
    steps: Sequence[int]


class Trainings:
    """Trained cloners, `folder`/KEY/STEP.safetensors. `work` holds the checkpoint of a training under way."""

    def __init__(self, folder: Path, work: Path, device: torch.device, display: Display) -> None:
        self._folder = folder
        self._work = work
        self._device = device
        self._display = display

    def trained(self, training: Training) -> list[Trained]:
        """Trains where a step is missing; one that another process is at is waited for. Raises FitDiverged."""
        with self._lock(training.key):
            found = self._read(training)
            if found is None:
                self._train(training)
                found = self._read(training)
        assert found is not None
        return found

    def _train(self, training: Training) -> None:
        title, settings, key, store, indices, steps = training
        work = self._work / key
        fit = Fit.begin(settings, store, indices, self._device, work / "checkpoint.safetensors", key)
        if fit.resume():
            self._display.say(f"{title}: going on from step {fit.step}")
        with self._display.bar(title, settings.steps) as bar:

            def told(progress: Progress) -> None:
                bar.update(progress.step, f"loss {progress.loss:.4f}")
                if progress.step in steps:
                    self._keep(fit, key)

            if fit.step in steps:  # interrupted between this step and its file
                self._keep(fit, key)
            fit.run(told)
        shutil.rmtree(work, ignore_errors=True)

    def _keep(self, fit: Fit, key: str) -> None:
        losses = {"loss_first": fit.losses[0], "loss_last_100_mean": float(np.mean(fit.losses[-100:]))}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in fit.trained().state_dict().items()}
        file = self._file(key, fit.step)
        part = file.with_suffix(".part")
        part.write_bytes(safetensors.torch.save(tensors, {"losses": json.dumps(losses)}))
        os.replace(part, file)

    def _read(self, training: Training) -> list[Trained] | None:
        """None where a file is missing or damaged."""
        settings, found = training.settings, []
        rms = training.store.rms(training.indices)
        for step in training.steps:
            try:
                with safetensors.safe_open(self._file(training.key, step), framework="pt") as file:
                    losses = json.loads(file.metadata()["losses"])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            except (OSError, SafetensorError):
                return None
            trainee = MkdTrainee(settings.recipe, rms, settings.step_precision)
            trainee.load_state_dict(tensors)
            found.append(Trained(step, trainee.to(self._device).eval(), losses))
        return found

    def _file(self, key: str, step: int) -> Path:
        return self._folder / key / f"{step}.safetensors"

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        (self._folder / key).mkdir(parents=True, exist_ok=True)
        with (self._folder / key / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def known_settings(settings: TrainingSettings) -> dict[str, Any]:
    """As JSON, less what came later and stands at what was the only way before: old results stay known."""
    found = settings.model_dump(mode="json")
    for name, before in LATER_SETTINGS.items():
        if found[name] == before:
            del found[name]
    found["recipe"] = {name: value for name, value in found["recipe"].items() if LATER_METHOD.get(name) != value}
    return found


def training_key(settings: TrainingSettings, data: str, source: SourceKey) -> str:
    """The same for the same trained weights: the settings that training looks at, the pictures and the source."""
    chosen = {name: value for name, value in known_settings(settings).items() if name not in JUDGING_SETTINGS}
    chosen["recipe"] = settings.recipe.model_dump(mode="json", include=set(MkdRecipe.TRAINED_BY))
    what = {"settings": chosen, "data": data, "source": source.sha256}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
