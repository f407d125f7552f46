"""The rule by which one of the tried candidates is taken, and the words that say why.

Of those within the budget, all that lie within one standard error of the best one are a tie. A tie goes to the default
method if it is in it, else to the candidate that comes first in the list, at the size at which it does best.
The standard error is of the difference to the best one, by leaving out each good picture in turn (the jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.sources.registry import DEFAULT_SOURCE
from trainer.advise.candidates import is_default
from trainer.advise.trial import Tried
from trainer.data import DataError
from trainer.painted.separation import Scores


class Choice(NamedTuple):
    """What is taken, what did best, and why in words."""

    taken: Tried
    best: Tried
    why: str


def choose(tried: Sequence[Tried], cycle_ms: float | None) -> Choice:
    """Raises DataError where none is within the budget."""
    within = [one for one in tried if cycle_ms is None or one.ms <= cycle_ms]
    if not within:
        fastest = min(tried, key=lambda one: one.ms)
        raise DataError(
            f"no method judges an image within {cycle_ms:g} ms here: the fastest, {title(fastest)}, takes "
            f"{fastest.ms:.0f} ms; give a larger --cycle-ms, smaller sizes, or a faster source (--source auto)"
        )
    best = max(within, key=lambda one: one.separation)
    tied = [one for one in within if best.separation - one.separation <= standard_error(best.without, one.without)]
    order = {name: place for place, name in enumerate(dict.fromkeys(one.candidate.name for one in tried))}
    first = min(tied, key=lambda one: (not is_default(one.candidate), order[one.candidate.name], -one.separation))
    budget = "" if cycle_ms is None else f" within {cycle_ms:g} ms an image"
    why = f"{title(best)} tells painted defects from good pictures best{budget} ({best.separation:.1%})"
    if first is not best:
        reason = "it is the default" if is_default(first.candidate) else "it sees more than places alone"
        why += (
            f"; {title(first)} ({first.separation:.1%}) lies within one standard error "
            f"({standard_error(best.without, first.without):.1%}) of it, and {reason}"
        )
    return Choice(first, best, why)


def standard_error(one: Scores, other: Scores) -> float:
    """Of the difference of two separations, each (n,) without each of the same n good pictures (Tried.without)."""
    differences = (one - other).astype(np.float64)
    count = len(differences)
    return float(np.sqrt((count - 1) / count * ((differences - differences.mean()) ** 2).sum()))


def title(one: Tried) -> str:
    """A candidate at its size, in words, and its source where it is not the usual one."""
    source = "" if one.source == DEFAULT_SOURCE else f" on {one.source}"
    return f"{one.candidate.name} at {one.size} pixels{source}"
