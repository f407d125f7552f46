"""The run that a method is fitted in (models.heads.base.FitRun): device, seed, what it tells, and the gradient loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch

from models.heads.base import Bar, GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings
from trainer.loop import GradientLoop

LAST_LOSSES = 100  # of which the mean is recorded
FIRST_LOSS = "loss_first"  # the name of a note


class Display(Protocol):
    """Where a run tells what it does; the command line shows it, tests pass a silent one."""

    def say(self, text: str) -> None:
        """One line."""

    def bar(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """A progress bar for the time of a with statement."""


class TrainingRun:
    """See FitRun. `work` holds the checkpoints, `fingerprint` is of settings, data and source; `notes` are recorded.

    The names of the checkpoints begin with `prefix`, so that several runs keep theirs in one folder.
    """

    def __init__(
        self, device: torch.device, seed: int, display: Display, work: Path, fingerprint: str, prefix: str = ""
    ) -> None:
        self.device = device
        self.seed = seed
        self.notes: dict[str, object] = {}
        self._display = display
        self._work = work
        self._fingerprint = fingerprint
        self._prefix = prefix
        self._trainings = 0

    @property
    def trains(self) -> bool:
        """Whether the method has called the gradient loop."""
        return self._trainings > 0

    def generator(self, purpose: str) -> torch.Generator:
        """See FitRun."""
        return seeded(self.seed, purpose)

    def say(self, text: str) -> None:
        """See FitRun."""
        self._display.say(text)

    def note(self, name: str, value: object) -> None:
        """See FitRun."""
        self.notes[name] = value

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        """See FitRun. A method may train several things one after the other; each has a checkpoint of its own."""
        self._trainings += 1
        number = "" if self._trainings == 1 else f"-{self._trainings}"
        loop = GradientLoop(
            *(trainable.to(self.device), parts, settings),
            seed=self.seed,
            checkpoint=self._work / f"{self._prefix}checkpoint{number}.safetensors",
            fingerprint=f"{self._fingerprint} {trainable.fingerprint}",
        )
        if loop.resume():
            self.say(f"going on from the checkpoint at step {loop.step}")
        with self._display.bar("training", settings.steps) as bar:
            loop.run(lambda progress: bar.update(progress.step, f"loss {progress.loss:.4f}"))
        loop.save()  # so that an interruption in what follows does not cost the training
        self.note(f"{FIRST_LOSS}{number}", loop.losses[0])
        last = loop.losses[-LAST_LOSSES:]
        self.note(f"loss_last_100_mean{number}", sum(last) / len(last))


def trained_in_steps(notes: Iterable[str]) -> bool:
    """Whether notes of this name are those of a run in which the method has called the gradient loop."""
    return any(name.startswith(FIRST_LOSS) for name in notes)


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A generator on the CPU whose numbers are the same for the same seed and purpose."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))
