"""What a run tells, shown to a person: plain lines, and a progress bar where there is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.heads.base import Bar


class RichBar:
    """One task of a rich progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: int, note: str = "") -> None:
        """So much is done of the total."""
        self._progress.update(self._task, completed=done, note=note)


class LineBar:
    """A line at every tenth, for logs."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console, self._title, self._total = console, title, total
        self._next = 0.1

    def update(self, done: int, note: str = "") -> None:
        """Prints when another tenth is done."""
        share = done / self._total
        if share >= self._next:
            self._next = int(share * 10 + 1) / 10
            self._console.print(f"{self._title}: {done} of {self._total} {note}".rstrip(), highlight=False)


class RichDisplay:
    """Shows a run on a console (standard error by default)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """A moving bar in a terminal, a line at every tenth elsewhere."""
        if not self.console.is_terminal:
            yield LineBar(self.console, title, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            yield RichBar(progress, progress.add_task(title, total=total, note=""))
