"""Watches the score and input statistics of one product: whether they have drifted, since when, and in what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.calibration.conformal import Calibration
from models.imaging.input_statistics import STATISTICS, InputStatistics
from service.drift.martingale import RankMartingales, Rules

SCORE = "score"
RECENT = 100  # parts of which the median is shown
REMEMBERED = 4096  # parts whose time is kept, to say since when
FEWEST = 2  # calibration images to rank against

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DriftRules:
    """`alarm_parts`: mean number of good parts between false alarms, at least, of all of a product's watches together.

    `window`: parts by which the reference lags behind; `defect_share`: share of defective parts that is no drift.
    """

    alarm_parts: float = 100_000
    window: int = 500
    defect_share: float = 0.05


@dataclass(frozen=True)
class Moment:
    """A part by its number since the start of the watch, from 1, and when it was judged (seconds since 1970).

    `at` is None where it is too long ago to be known.
    """

    part: int
    at: float | None


@dataclass(frozen=True)
class WatchState:
    """One number that is watched. `evidence` is log10; `leaning` is up, down, wide or narrow; medians in its unit."""

    name: str
    drifted: bool
    evidence: float
    leaning: str
    since: Moment | None
    raised: Moment | None
    calibration_median: float
    recent_median: float | None


class ProductDrift:
    """The watch over one version of one product. Not thread-safe.

    Each of the w watches raises its alarm at w times `alarm_parts`; so their mean is again a Shiryaev-Roberts statistic
    and the whole keeps the average run length, however the watches depend on each other.
    """

    def __init__(self, calibration: Calibration | None, inputs: InputStatistics | None, rules: DriftRules) -> None:
        """`calibration` is None where its scores are not those of parts as they are."""
        scores = calibration.even_scores if calibration is not None else ()
        references = {SCORE: scores} if len(scores) >= FEWEST else {}
        known = [name for name in STATISTICS if inputs is not None and len(inputs.values.get(name, ())) >= FEWEST]
        self.rules = rules
        self.input_recorded = bool(known)
        self.parts = 0
        references |= {name: inputs.values[name] for name in known} if inputs is not None else {}
        self._watches = len(references)
        self._names = list(references)
        self._columns = [[SCORE, *STATISTICS].index(name) for name in references]
        self._medians = [float(np.median(values)) for values in references.values()]
        within = Rules(rules.alarm_parts * max(1, self._watches), rules.window, rules.defect_share)
        self._ranks = list(_side_by_side(list(references.values()), within))
        self._recent = np.zeros((RECENT, self._watches))
        self._times = np.zeros(REMEMBERED)

    def on_verdict(self, score: float, measured: Floats, at: float) -> None:
        """One part: its score, its statistics in the order of STATISTICS, and when."""
        self._times[self.parts % REMEMBERED] = at
        values = np.concatenate([[score], measured])[self._columns]
        for rows, ranks in self._ranks:
            ranks.update(values[rows])
        self._recent[self.parts % RECENT] = values
        self.parts += 1

    @property
    def drifted(self) -> bool:
        """Whether any watch has raised its alarm and not ended it."""
        return any(ranks.alarmed.any() for _, ranks in self._ranks)

    def states(self) -> list[WatchState]:
        """The score's watch first, then those of the input; empty where there is nothing to compare with."""
        recent = self._recent[: min(self.parts, RECENT)]
        found = [state for _, ranks in self._ranks for state in self._of(ranks)]
        return [
            WatchState(
                name,
                *state,
                calibration_median=self._medians[number],
                recent_median=float(np.median(recent[:, number])) if len(recent) else None,
            )
            for number, (name, state) in enumerate(zip(self._names, found, strict=True))
        ]

    def evidence(self) -> dict[str, float]:
        """log10 of each watch's evidence, 0 at least, such that its alarm is at log10 of `alarm_parts`."""
        wealth = [value for _, ranks in self._ranks for value in ranks.evidence]
        return {
            name: math.log10(max(1.0, value / self._watches)) for name, value in zip(self._names, wealth, strict=True)
        }

    def _of(self, ranks: RankMartingales) -> Sequence[tuple[bool, float, str, Moment | None, Moment | None]]:
        rows = zip(
            ranks.alarmed.tolist(),
            ranks.evidence.tolist(),
            ranks.leaning(),
            ranks.began_at,
            ranks.raised_at,
            strict=True,
        )
        return [
            (
                drifted,
                math.log10(max(1.0, wealth / self._watches)),
                leaning,
                self._moment(int(began)) if drifted else None,
                self._moment(int(raised)) if drifted else None,
            )
            for drifted, wealth, leaning, began, raised in rows
        ]

    def _moment(self, part: int) -> Moment:
        known = self.parts - part < REMEMBERED
        return Moment(part, float(self._times[(part - 1) % REMEMBERED]) if known else None)


def _side_by_side(references: Sequence[Sequence[float]], rules: Rules) -> Iterator[tuple[slice, RankMartingales]]:
    """Neighbours of equal length watched together: in most artifacts all, which costs what one does alone."""
    start = 0
    for stop in range(1, len(references) + 1):
        if stop == len(references) or len(references[stop]) != len(references[start]):
            yield slice(start, stop), RankMartingales(np.array(references[start:stop]), rules)
            start = stop
