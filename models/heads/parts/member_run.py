"""The run in which one of several heads is fitted: what it notes and says carries the head's name."""

from __future__ import annotations

import torch

from models.heads.base import FitRun, GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings


class MemberRun:
    """See FitRun. With `quiet` nothing is said or noted: fits to a fold repeat what was said of all images."""

    def __init__(self, run: FitRun, name: str, *, quiet: bool = False) -> None:
        self._run = run
        self._name = name
        self._quiet = quiet

    @property
    def device(self) -> torch.device:
        """See FitRun."""
        return self._run.device

    @property
    def seed(self) -> int:
        """See FitRun."""
        return self._run.seed

    def generator(self, purpose: str) -> torch.Generator:
        """See FitRun: the same numbers as in a fit of the method alone."""
        return self._run.generator(purpose)

    def say(self, text: str) -> None:
        """See FitRun."""
        if not self._quiet:
            self._run.say(f"{self._name}: {text}")

    def note(self, name: str, value: object) -> None:
        """See FitRun."""
        if not self._quiet:
            self._run.note(f"{self._name}.{name}", value)

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        """See FitRun."""
        self._run.train(trainable, parts, settings)
