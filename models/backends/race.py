"""Measures which backend runs a source fastest on this machine, for one image and for batches.

The contenders take turns, so that what else the machine does slows them alike, and the best time of each counts. One
that is far behind in a batch does not run larger ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from models.backends.base import SourceBackend
from models.backends.by_size import SIZES

SECONDS = 1.0  # for all contenders and sizes together
FAR_BEHIND = (2.0, 1.4, 1.4)  # times the fastest one's time, by size: one image goes other ways than many
WORTH_A_SECOND = 1.1  # a second backend takes its memory: it must be so much faster in a size
LEAST_TURNS, MOST_TURNS = (4, 2, 2), 10  # by size: a first turn allocates, and any may fall on a busy moment

Timings = dict[str, dict[int, float]]  # contender -> batch size -> seconds an image; sizes that it has run


def race(
    contenders: Mapping[str, SourceBackend],
    images: Tensor,
    taps: Collection[str] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Seconds an image of each contender by batch size, on (n, 3, S, S) images that are repeated to fill a batch.

    What SECONDS leaves no time for is left out, but for the first two sizes.
    """
    found: Timings = {name: {} for name in contenders}
    running = dict(contenders)
    left = SECONDS
    for number, size in enumerate(SIZES):
        batch = images[torch.arange(size) % len(images)]
        if number > 1 and left < LEAST_TURNS[number] * size * sum(found[name][SIZES[number - 1]] for name in running):
            break
        started = clock()
        best = dict.fromkeys(running, float("inf"))
        for turn in range(1, MOST_TURNS + 1):
            for name, backend in running.items():
                begin = clock()
                backend.activations(batch, taps)
                best[name] = min(best[name], (clock() - begin) / size)
            if turn >= LEAST_TURNS[number] and clock() - started > left / 2:
                break
        left -= clock() - started
        for name, seconds in best.items():
            found[name][size] = seconds
        bearable = FAR_BEHIND[number] * min(best.values())
        running = {name: backend for name, backend in running.items() if best[name] <= bearable}
        if len(running) == 1:
            break
    return found


def winners(timings: Timings) -> dict[int, str]:
    """The backend for each of SIZES: one for all where none is WORTH_A_SECOND. A size that was not run goes as the
    largest that was."""
    fastest: dict[int, str] = {}
    for size in SIZES:
        ran = {name: seconds[size] for name, seconds in timings.items() if size in seconds}
        fastest[size] = min(ran, key=lambda name: ran[name]) if ran else fastest[SIZES[SIZES.index(size) - 1]]
    main = min(timings, key=lambda name: _worst_share(name, timings, fastest))
    return {size: fastest[size] if _share(main, size, timings, fastest) > WORTH_A_SECOND else main for size in SIZES}


def _worst_share(name: str, timings: Timings, fastest: Mapping[int, str]) -> float:
    return max(_share(name, size, timings, fastest) for size in SIZES)


def _share(name: str, size: int, timings: Timings, fastest: Mapping[int, str]) -> float:
    """Its time as a multiple of the fastest one's; infinite where only others have run that size."""
    best = timings[fastest[size]].get(size)
    if best is None:  # nobody ran it
        return 1.0
    return timings[name].get(size, float("inf")) / best


def in_words(timings: Mapping[str, Mapping[int, float]], *, kept: bool) -> str:
    """What a race has measured: milliseconds an image of each contender by batch size."""
    sizes = []
    for size in SIZES:
        ran = [f"{name} {seconds[size] * 1000:.1f}" for name, seconds in timings.items() if size in seconds]
        if ran:
            sizes.append(f"batch {size}: {', '.join(ran)}")
    return f"{'measured before' if kept else 'measured now'}, ms an image: {'; '.join(sizes)}"
