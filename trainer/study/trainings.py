"""The run in which a study fits a method: what is trained is kept as of each step that is looked at.

A method is fitted once for each look; its training is done once, and runs that differ only in how they judge (score,
map, thresholds) share it. A method without steps is fitted once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from models import atomic_file
from models.heads.base import GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings
from trainer.fit_run import LAST_LOSSES, Display, seeded
from trainer.loop import GradientLoop, Progress


@dataclass(frozen=True)
class Trainings:
    """Where trained weights are kept (`folder`/KEY/STEP.safetensors), and checkpoints of what is under way (`work`)."""

    folder: Path
    work: Path
    device: torch.device
    display: Display


class StudyRun:
    """See models.heads.base.FitRun. `key` is of the images and the source.

    `look` of `looks` (0 to looks - 1) says as of which step of its training the method is fitted.
    """

    def __init__(self, trainings: Trainings, title: str, key: str, seed: int, look: int, looks: int) -> None:
        self.device = trainings.device
        self.seed = seed
        self.notes: dict[str, object] = {}
        self.step = 0
        self._trainings = trainings
        self._title = title
        self._key = key
        self._look, self._looks = look, looks
        self._count = 0

    @property
    def has_steps(self) -> bool:
        """Whether the method has called the gradient loop."""
        return self._count > 0

    def generator(self, purpose: str) -> torch.Generator:
        """See FitRun."""
        return seeded(self.seed, purpose)

    def say(self, text: str) -> None:
        """See FitRun."""
        self._trainings.display.say(f"{self._title}: {text}")

    def note(self, name: str, value: object) -> None:
        """See FitRun."""
        self.notes[name] = value

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        """See FitRun; leaves the weights as of the step that is looked at."""
        self._count += 1
        steps = look_steps(settings.steps, self._looks)
        self.step = steps[min(self._look, len(steps) - 1)]
        loop_settings = {name: getattr(settings, name) for name in LoopSettings.model_fields}
        what = [self._key, self.seed, self._count, trainable.fingerprint, loop_settings, parts.count]
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
        trainable.to(self.device)
        with self._lock(key):
            if not all(self._file(key, step).is_file() for step in steps) or not self._read(trainable, key):
                self._train(trainable, parts, settings, steps, key)
                if not self._read(trainable, key):
                    raise OSError(f"{self._file(key, self.step)}: what was written cannot be read")
        trainable.eval()

    def _train(
        self, trainable: Trainable, parts: GoodParts, settings: LoopSettings, steps: list[int], key: str
    ) -> None:
        work = self._trainings.work / key
        checkpoint = work / "checkpoint.safetensors"
        loop = GradientLoop(trainable, parts, settings, seed=self.seed, checkpoint=checkpoint, fingerprint=key)
        if loop.resume():
            self.say(f"going on from step {loop.step}")
        with self._trainings.display.bar(self._title, settings.steps) as bar:

            def told(progress: Progress) -> None:
                bar.update(progress.step, f"loss {progress.loss:.4f}")
                if progress.step in steps:
                    self._keep(loop, key)

            if loop.step in steps:  # interrupted between this step and its file
                self._keep(loop, key)
            loop.run(told)
        shutil.rmtree(work, ignore_errors=True)

    def _keep(self, loop: GradientLoop, key: str) -> None:
        losses = {"loss_first": loop.losses[0], "loss_last_100_mean": float(np.mean(loop.losses[-LAST_LOSSES:]))}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in loop.trained().state_dict().items()}
        data = safetensors.torch.save(tensors, {"losses": json.dumps(losses)})
        atomic_file.write_bytes(self._file(key, loop.step), data)

    def _read(self, trainable: Trainable, key: str) -> bool:
        """Whether the file of the step is there and whole; its weights are in `trainable` then."""
        try:
            with safetensors.safe_open(self._file(key, self.step), framework="pt") as file:
                self.notes |= json.loads(file.metadata()["losses"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError):
            return False
        trainable.load_state_dict(tensors)
        return True

    def _file(self, key: str, step: int) -> Path:
        return self._trainings.folder / key / f"{step}.safetensors"

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        """One process trains; others wait for it and read."""
        folder = self._trainings.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def look_steps(steps: int, count: int) -> list[int]:
    """`count` steps spread evenly over the last third, the last step included."""
    first = steps - steps // 3
    spread = np.linspace(first, steps, count) if count > 1 else np.array([steps])
    return sorted({max(1, round(float(step))) for step in spread})
