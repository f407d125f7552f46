"""Images done in; a moving bar in a terminal, a line at every tenth elsewhere out, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]


@contextmanager
def progress(total: int, done: int, console: Console) -> Iterator[Advance]:
    """A call that takes how many images more are done; `done` of them were so before."""
    if not console.is_terminal:
        yield _lines(total, done, console)
        return
    columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("images", total=total, completed=done)
        yield lambda more: bar.advance(task, more)


def _lines(total: int, done: int, console: Console) -> Advance:
    state = [done, 10 * done // total]

    def advance(more: int) -> None:
        state[0] += more
        if 10 * state[0] // total > state[1]:
            state[1] = 10 * state[0] // total
            console.print(f"{state[0]} of {total} images", highlight=False)

    return advance
