"""Tells how old records are by the chain's own time, which a clock that jumps does not move.

A file begins with a record and so with a time. From one file's beginning to the next one's, and to now, time has passed
by that much; where it is more than JUMP_S, or less than nothing, the clock was set (or the line stood still for long),
and nothing is counted. So a start with a clock years ahead makes no record old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

JUMP_S = 35 * 86_400.0  # a line may stand still for a month


class Kept(NamedTuple):
    """What is kept: files from `file` on, and of that file what is not older than `since` (seconds since 1970)."""

    file: int
    since: float


def kept(times: Sequence[float | None], now: float, keep_s: float) -> Kept | None:
    """The times at which the files begin, in order -> what is kept for `keep_s`; None where nothing is older.

    A file without a time counts with the one after it.
    """
    passed, upper = 0.0, now
    for number in range(len(times) - 1, -1, -1):
        begun = times[number]
        if begun is None:
            continue
        if 0 <= (step := upper - begun) <= JUMP_S:
            if passed + step > keep_s:
                return Kept(number, upper - (keep_s - passed))
            passed += step
        upper = begun
    return None


def clock_jump(times: Sequence[float | None], last: float | None, now: float) -> float:
    """Seconds by which the clock has left the chain's time, 0 where it has not: now, or as the last file began.

    `last` is the time of the newest record. Positive is ahead.
    """
    known = [time for time in times if time is not None]
    steps = [now - last] if last is not None else []
    if len(known) > 1:
        steps.append(known[-1] - known[-2])
    return next((step for step in steps if abs(step) > JUMP_S), 0.0)
