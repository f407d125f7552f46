"""The drift test keeps its average run length for any calibration, and notices light, spread and size that change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import beta

from service.drift.bets import BETS, Book, share_bound
from service.drift.martingale import RankMartingales, Rules

ALARM = 1000.0
RULES = Rules(alarm=ALARM, window=100, defect_share=0.05)


class FixedReference(RankMartingales):
    """As the watch, but on p-values of a fixed calibration: production is never learnt."""

    def _learn(self, gaps: npt.NDArray[np.intp]) -> None:
        """Learns nothing."""


def alarms(watch: RankMartingales, random: np.random.Generator, parts: int, defects: float = 0.0) -> int:
    """How often any of the watches begins an alarm in so many good parts each."""
    begun, before = 0, watch.alarmed
    for _ in range(parts):
        values = random.normal(size=len(before))
        values[random.random(len(before)) < defects] = 6.0
        watch.update(values)
        begun += int((watch.alarmed & ~before).sum())
        before = watch.alarmed
    return begun


def until_alarm(watch: RankMartingales, values: npt.NDArray[np.float64]) -> int:
    """Parts until the one watch raises its alarm; `values` (parts,)."""
    for part, value in enumerate(values, 1):
        watch.update(np.array([value]))
        if watch.alarmed[0]:
            return part
    raise AssertionError("no alarm")


@pytest.mark.parametrize("calibration_images", [8, 20, 100])
def test_false_alarms_are_no_more_than_promised_however_small_the_calibration(calibration_images: int) -> None:
    random = np.random.default_rng(calibration_images)
    lines, parts = 300, 1000
    watch = RankMartingales(random.normal(size=(lines, calibration_images)), RULES)
    assert 0 < alarms(watch, random, parts) <= lines * parts / ALARM


def test_a_fixed_calibration_would_break_the_promise() -> None:
    random = np.random.default_rng(1)
    lines, parts = 300, 1000
    watches = [kind(random.normal(size=(lines, 20)), RULES) for kind in (RankMartingales, FixedReference)]
    learning, fixed = (alarms(watch, random, parts) for watch in watches)
    assert learning <= lines * parts / ALARM < fixed


def test_defects_within_their_share_raise_no_more_alarms_than_promised() -> None:
    random = np.random.default_rng(2)
    lines, parts = 300, 1000
    watch = RankMartingales(random.normal(size=(lines, 100)), RULES)
    assert alarms(watch, random, parts, defects=0.02) <= lines * parts / ALARM


def test_every_bet_is_fair_whatever_has_been_seen() -> None:
    random = np.random.default_rng(3)
    watch = RankMartingales(random.normal(size=(1, 60)), RULES)
    for value in random.normal(0.5, 1, size=350):
        watch.update(np.array([value]))
    gaps = np.arange(watch._tail, 61 - watch._tail)  # between the cuts, all that can happen
    chance = watch._urn[0, gaps] / watch._urn[0, gaps].sum()
    pays = np.concatenate([watch._pays(np.array([gap])) for gap in gaps])
    inside = watch._book.between
    assert chance @ pays == pytest.approx(inside, rel=1e-9)
    bound = share_bound(3, 60) + RULES.defect_share
    for beyond in (watch._book.beyond_low, watch._book.beyond_high):
        assert (bound * beyond + (1 - bound) * inside <= 1 + 1e-9).all()


def test_every_density_has_mass_one() -> None:
    mass = Book(100, 5, 0.05).mass(np.array([0.0]), np.array([1.0]))
    assert mass == pytest.approx(np.ones((1, len(BETS))))


@pytest.mark.parametrize(("tail", "count"), [(1, 8), (3, 64), (7, 152), (50, 1000)])
def test_the_bound_on_the_share_is_the_quantile_of_its_distribution(tail: int, count: int) -> None:
    assert share_bound(tail, count) == pytest.approx(beta.ppf(0.99, tail, count + 1 - tail), abs=1e-6)


@pytest.mark.parametrize(
    ("shift", "spread", "leaning", "most"),
    [(3.0, 1.0, "up", 20), (-3.0, 1.0, "down", 20), (1.0, 1.0, "up", 150), (0.0, 0.3, "narrow", 150)],
)
def test_values_that_move_are_noticed_and_named(shift: float, spread: float, leaning: str, most: int) -> None:
    random = np.random.default_rng(4)
    watch = RankMartingales(random.normal(size=(1, 150)), replace(RULES, alarm=100_000))
    for value in random.normal(size=500):
        watch.update(np.array([value]))
    assert not watch.alarmed[0]
    parts = until_alarm(watch, random.normal(shift, spread, size=most))
    assert watch.leaning() == [leaning]
    assert watch.raised_at[0] == 500 + parts
    assert 480 <= watch.began_at[0] <= 500 + parts


def test_the_alarm_stays_while_the_drift_does_and_ends_when_it_is_mended() -> None:
    random = np.random.default_rng(5)
    watch = RankMartingales(random.normal(size=(1, 150)), RULES)
    until_alarm(watch, random.normal(1.0, 1, size=300))
    for value in random.normal(1.0, 1, size=3000):
        watch.update(np.array([value]))
        assert watch.alarmed[0]
        assert watch.evidence[0] >= ALARM
    for value in random.normal(size=1000):
        watch.update(np.array([value]))
    assert not watch.alarmed[0]
    assert until_alarm(watch, random.normal(3.0, 1, size=50)) < 30  # and the watch goes on


def test_a_number_that_is_always_the_same_is_no_drift_until_it_is_another() -> None:
    watch = RankMartingales(np.full((1, 60), 1024.0), RULES)
    for _ in range(1500):
        watch.update(np.array([1024.0]))
    assert not watch.alarmed[0]
    assert until_alarm(watch, np.full(40, 2048.0)) < 40


def test_the_same_parts_give_the_same_evidence() -> None:
    values = np.random.default_rng(7).integers(0, 5, size=(2, 200)).astype(float)  # with many ties
    first, second = (RankMartingales(values, RULES) for _ in range(2))
    for column in values.T:
        first.update(column)
        second.update(column)
    assert first.evidence.tolist() == second.evidence.tolist()
