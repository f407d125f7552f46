"""A display for the fit to some of the folds: what is told carries the fold's name."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from models.heads.base import Bar
from trainer.fit_run import Display


@dataclass(frozen=True)
class FoldDisplay:
    """See trainer.fit_run.Display; lines and bars begin with `name`."""

    display: Display
    name: str

    def say(self, text: str) -> None:
        """See Display."""
        self.display.say(f"{self.name}: {text}")

    def bar(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """See Display."""
        return self.display.bar(f"{self.name}, {title}", total)
