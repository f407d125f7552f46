"""A display of what nobody needs to see: trials, and trainings among many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.heads.base import Bar


class QuietDisplay:
    """See trainer.fit_run.Display."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """No bar."""
        yield self

    def update(self, done: int, note: str = "") -> None:
        """Nothing."""
