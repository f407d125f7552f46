"""The evidence, part by part, that production values do not come from where the calibration's values came from.

Exact for a finite calibration. If the n calibration values and all production values so far are exchangeable, the next
one falls into gap g between the sorted calibration values with probability (1 + c_g) / (n + 1 + t), where c_g of the t
earlier parts fell there (Polya's urn): these are conformal p-values whose reference grows by every part, so they do not
suffer from a small or unlucky calibration, which fixed conformal p-values do. A bet q on the gaps pays
e = q(g) / P(g), and whatever q was made of the past, E[e] = 1 (at most 1 beyond the cuts, see bets.py).

Shiryaev-Roberts: R <- e (R + 1), averaged over the bets. R_t - t is then a supermartingale, so the mean number of parts
until R first reaches A is at least A where nothing drifts. This is an average run length, not a probability for ever:
a line that runs for years wants alarms to stay rare, not to become ever harder to raise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.drift.bets import BETS, TAIL, Book, Floats

BINS = 8  # between the cuts: finer ones follow the chance of where n values fell, not drift
PATIENCE = 3  # times as long as drift took to show, and no alarm anew: the drift is over
SUSPICIOUS = 0.4  # share of the way to the alarm (in logarithms) from which the lagging reference stands still


@dataclass(frozen=True)
class Rules:
    """`alarm`: the evidence A that raises it; `window`: parts by which the bets' reference lags behind at least."""

    alarm: float
    window: int
    defect_share: float


class RankMartingales:
    """m watches side by side, each on one number of a part; `reference` is (m, n), n at least 2, in any order.

    The bets are tilts of a reference of their own that lags behind by `window` parts and stands still while there is
    suspicion, so that drift does not become the norm before it is noticed. An alarm starts the test anew, from the
    lagging reference: where drift is still there, it shows again. Where it does not within PATIENCE, the alarm ends.
    """

    def __init__(self, reference: Floats, rules: Rules, seed: int = 0) -> None:
        self._sorted = np.sort(reference, axis=1)
        watches, self._count = reference.shape
        self.rules = rules
        self._tail = max(1, int((self._count + 1) * TAIL))
        self._book = Book(self._count, self._tail, rules.defect_share)
        self._random = np.random.default_rng(seed)
        self._rows = np.arange(watches)
        self._urn = np.ones((watches, self._count + 1))
        self._bin_of, widths = bins_between(self._count, self._tail)
        self._bins = np.tile(widths, (watches, 1))
        self._lagging, self._young = self._bins.copy(), self._bins.copy()
        self._mass = np.zeros((watches, len(widths), len(BETS)))  # of each bet in each bin, new with each lagging one
        self._lag(np.ones(watches, dtype=bool))
        self._wealth = np.zeros((watches, len(BETS)))
        self._run = np.zeros((watches, len(BETS)))  # log of each bet's best run up to now, Page's CUSUM
        self._run_began = np.ones((watches, len(BETS)), dtype=np.int64)
        self.parts = 0
        self.alarmed = np.zeros(watches, dtype=bool)
        self.began_at, self.raised_at, self._shown_at, self._best = np.zeros((4, watches), dtype=np.int64)
        self._held = np.zeros(watches)

    @property
    def evidence(self) -> Floats:
        """R of each watch (m,), held at what raised the alarm while that lasts."""
        evidence: Floats = np.where(self.alarmed, self._held, self._wealth.mean(axis=1))
        return evidence

    def leaning(self) -> list[str]:
        """For each watch the side of the bet that raised its alarm, or of the richest one: up, down, wide or narrow."""
        return [BETS[best].side for best in np.where(self.alarmed, self._best, self._wealth.argmax(axis=1))]

    def update(self, values: Floats) -> None:
        """One part: a finite number for each watch (m,)."""
        self.parts += 1
        gaps = self._gaps(values)
        pays = self._pays(gaps)
        self._wealth = pays * (self._wealth + 1)
        fresh = self._run <= 0
        self._run_began[fresh] = self.parts
        self._run = np.where(fresh, 0.0, self._run) + np.log(pays)
        self._learn(gaps)
        self._raise()
        self._end()

    def _gaps(self, values: Floats) -> npt.NDArray[np.intp]:
        """The gap of each value, 0 below all of the reference to n above; among equals drawn as the urn would."""
        column = values[:, None]
        lowest: npt.NDArray[np.intp] = (self._sorted < column).sum(axis=1)
        highest = (self._sorted <= column).sum(axis=1)
        for row in np.flatnonzero(highest > lowest):
            weights = np.cumsum(self._urn[row, lowest[row] : highest[row] + 1])
            lowest[row] += np.searchsorted(weights, self._random.random() * weights[-1], side="right")
        return lowest

    def _pays(self, gaps: npt.NDArray[np.intp]) -> Floats:
        """What each bet multiplies its stake by, (m, J)."""
        bins = self._bin_of[gaps]
        mass = self._mass[self._rows, bins]
        fair = self._bins[self._rows, bins] / self._bins.sum(axis=1)
        between = self._book.between * mass / fair[:, None]
        pays = np.where((gaps > self._count - self._tail)[:, None], self._book.beyond_high, between)
        paid: Floats = np.where((gaps < self._tail)[:, None], self._book.beyond_low, pays)
        return paid

    def _learn(self, gaps: npt.NDArray[np.intp]) -> None:
        self._urn[self._rows, gaps] += 1
        inside = (gaps >= self._tail) & (gaps <= self._count - self._tail)
        self._bins[self._rows[inside], self._bin_of[gaps[inside]]] += 1
        if self.parts % self.rules.window == 0:
            self._lag(~self.alarmed & (self._run.max(axis=1) < SUSPICIOUS * np.log(self.rules.alarm)))

    def _lag(self, moves: npt.NDArray[np.bool_]) -> None:
        self._lagging[moves], self._young[moves] = self._young[moves], self._bins[moves]
        lagging = self._lagging[moves]
        below = np.zeros((len(lagging), lagging.shape[1] + 1))
        below[:, 1:] = np.cumsum(lagging, axis=1) / lagging.sum(axis=1, keepdims=True)
        mass = self._book.mass(below[:, :-1].ravel(), below[:, 1:].ravel())
        self._mass[moves] = mass.reshape(*lagging.shape, len(BETS))

    def _raise(self) -> None:
        """Raise the alarm, or note that the drift has shown again; then start anew from the lagging reference."""
        evidence = self._wealth.mean(axis=1)
        shown = evidence >= self.rules.alarm
        if not shown.any():
            return
        raised = shown & ~self.alarmed
        best = self._wealth.argmax(axis=1)
        self.began_at[raised] = self._run_began[self._rows, best][raised]
        self.raised_at[raised] = self.parts
        self._best[raised] = best[raised]
        self._shown_at[shown] = self.parts
        self._held[shown] = evidence[shown]
        self.alarmed = self.alarmed | shown
        self._bins[shown] = self._young[shown] = self._lagging[shown]
        self._wealth[shown] = self._run[shown] = 0

    def _end(self) -> None:
        took = self.raised_at - self.began_at
        patience = np.maximum(self.rules.window, PATIENCE * took)
        self.alarmed = self.alarmed & (self.parts - self._shown_at <= patience)


def bins_between(count: int, tail: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """Which bin each of the `count + 1` gaps lies in (those beyond the cuts: the nearest), and gaps per bin."""
    gaps = np.arange(count + 1)
    inside = count + 1 - 2 * tail
    bins = min(BINS, inside)
    bin_of = np.clip((gaps - tail) * bins // inside, 0, bins - 1)
    return bin_of, np.bincount(bin_of[tail : count + 1 - tail], minlength=bins).astype(np.float64)
