"""Drift on real images: parts until it is noticed, and false alarms where there is none.

    python -m benchmarks.drift ../artifacts/magnetic_tile ../shared/data/magnetic_tile --pool-test-good
    python -m benchmarks.drift ../artifacts/mvtec_screw ../shared/data/mvtec_screw

Every image is judged once under each condition (minutes; kept in --keep); lines are then simulated by drawing from
what was found. No part was trained on: good ones are the images held out in training, with --pool-test-good also
those of test/good. Each run splits them anew, at random, into a calibration and a production, so that a calibration
image is never also a part. Production is drawn with replacement, since a line makes more parts than there are images.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness.drift_conditions import AS_IT_IS, CONDITIONS, Measured, measured
from models.imaging.input_statistics import STATISTICS
from service.drift.martingale import RankMartingales, Rules
from service.drift.monitor import SCORE, DriftRules

NAMES = (SCORE, *STATISTICS)
TEST_GOOD = "test good, "
DEFECT_RATE = 0.02
HEADER = f"{'':<16}{'median':>7}{'90 %':>7}{'missed %':>8}{'score':>8}  first"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noticed:
    """For each run: parts until any watch raised its alarm, and until the score's did; infinite where none did."""

    any: Floats
    score: Floats
    first: list[str]

    def row(self) -> str:
        first = max(set(self.first), key=self.first.count) if self.first else "-"
        missed = np.isinf(self.any).mean()
        return f"{_median(self.any):>7}{_upper(self.any):>7}{100 * missed:>8.0f}{_median(self.score):>8}  {first}"


class Line:
    """Many runs of one line side by side; each has a calibration and a production of its own."""

    def __init__(self, pool: Measured, calibration: int, runs: int, defect_rate: float, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.pool, self.runs, self.defect_rate = pool, runs, defect_rate
        count = len(pool[AS_IT_IS])
        order = np.stack([self.random.permutation(count) for _ in range(runs)])
        self.production = order[:, calibration:]
        reference = pool[AS_IT_IS][order[:, :calibration]]  # (runs, n, watches)
        rules = DriftRules()
        within = Rules(rules.alarm_parts * len(NAMES), rules.window, rules.defect_share)
        self.ranks = RankMartingales(reference.transpose(0, 2, 1).reshape(-1, calibration), within)

    def step(self, condition: str) -> npt.NDArray[np.bool_]:
        """One part on every line; which watches are in alarm then, (runs, watches)."""
        drawn = self.random.integers(self.production.shape[1], size=self.runs)
        return self.take(self.pool[condition][self.production[np.arange(self.runs), drawn]])

    def take(self, parts: Floats) -> npt.NDArray[np.bool_]:
        """These parts (runs, watches), some of them exchanged for defective ones."""
        defective = np.flatnonzero(self.random.random(self.runs) < self.defect_rate)
        parts[defective] = self.pool["defects"][self.random.integers(len(self.pool["defects"]), size=len(defective))]
        self.ranks.update(parts.reshape(-1))
        return self.ranks.alarmed.reshape(self.runs, -1)


def noticed(line: Line, condition: str, most: int) -> Noticed:
    """Parts until the alarm, of runs that are not in alarm before."""
    line = copy.deepcopy(line)
    fresh = ~line.ranks.alarmed.reshape(line.runs, -1).any(axis=1)
    first = np.full((line.runs, len(NAMES)), np.inf)
    for part in range(1, most + 1):
        alarmed = line.step(condition)
        first[alarmed & np.isinf(first)] = part
        if np.isfinite(first[fresh, 0]).all():
            break
    first = first[fresh]
    found = first[np.isfinite(first).any(axis=1)]
    return Noticed(first.min(axis=1), first[:, 0], [NAMES[watch] for watch in found.argmin(axis=1)])


def false_alarms(line: Line, parts: int) -> tuple[float, float]:
    """(alarms that any watch began, and that the score began) per 10,000 undrifted parts."""
    begun, score = 0, 0
    before = np.zeros((line.runs, len(NAMES)), dtype=bool)
    for _ in range(parts):
        alarmed = line.step(AS_IT_IS)
        begun += int((alarmed.any(axis=1) & ~before.any(axis=1)).sum())
        score += int((alarmed & ~before)[:, 0].sum())
        before = alarmed
    each = line.runs * parts / 10_000
    return begun / each, score / each


def once_through(line: Line) -> tuple[int, int]:
    """(alarms, parts): every run's production once, without replacement, so that it is exchangeable by construction."""
    ever = np.zeros(line.runs, dtype=bool)
    for place in range(line.production.shape[1]):
        ever |= line.take(line.pool[AS_IT_IS][line.production[:, place]]).any(axis=1)
    return int(ever.sum()), line.production.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pool-test-good", action="store_true", help="test/good is of the same light as train/good")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/mkd-drift"), help="folder for what was measured")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--most", type=int, default=1000, help="parts after which drift counts as missed")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    found = measured(given.artifact, given.data, given.keep, given.threads)
    pool = {
        name: np.concatenate([found[name], found[TEST_GOOD + name]]) if given.pool_test_good else found[name]
        for name in CONDITIONS
    }
    pool["defects"] = found["defects"]
    count = len(pool[AS_IT_IS])
    calibration = len(found[AS_IT_IS]) if given.pool_test_good else count // 2
    print(
        f"{given.data.name}: {count} good parts never trained on, {calibration} of them drawn as calibration, "
        f"{given.runs} runs, {len(pool['defects'])} defects"
    )
    report(pool, calibration, given.runs, given.most)
    if not given.pool_test_good:
        as_found(found, given.runs, given.most)


def report(pool: Measured, calibration: int, runs: int, most: int) -> None:
    """Detection under each condition, at once and after 1,000 good parts, without and with defects; false alarms."""
    for defect_rate in (0.0, DEFECT_RATE):
        with_defects = f"{100 * defect_rate:g} % defects"
        for before in (0, 1000):
            line = Line(pool, calibration, runs, defect_rate, seed=before)
            for _ in range(before):
                line.step(AS_IT_IS)
            print(f"\n{with_defects}, drift after {before} good parts\n{HEADER}")
            for condition in CONDITIONS:
                if condition != AS_IT_IS:
                    print(f"{condition:<16}{noticed(line, condition, most).row()}", flush=True)
        line = Line(pool, calibration, runs, defect_rate, seed=1)
        begun, score = false_alarms(line, 10_000)
        print(f"{with_defects}, no drift: {begun:.2f} false alarms per 10,000 parts, {score:.2f} of them the score's")
    alarms, parts = once_through(Line(pool, calibration, 20 * runs, 0.0, seed=2))
    print(f"no drift, each part once: {alarms} false alarms in {parts} parts")


def as_found(found: Measured, runs: int, most: int) -> None:
    """The good test images as production, against the artifact's whole calibration."""
    parts = {AS_IT_IS: np.concatenate([found[AS_IT_IS], found[TEST_GOOD + AS_IT_IS]]), "defects": found["defects"]}
    line = Line(parts, len(found[AS_IT_IS]), runs, 0.0, seed=3)
    held_out = len(found[AS_IT_IS])
    order = np.tile(np.arange(len(parts[AS_IT_IS])), (runs, 1))
    line.production = order[:, held_out:]
    reference = np.repeat(found[AS_IT_IS].T[None], runs, axis=0).reshape(-1, held_out)
    line.ranks = RankMartingales(reference, line.ranks.rules)
    print(f"\ntest/good as production\n{HEADER}")
    print(f"{'as it is':<16}{noticed(line, AS_IT_IS, most).row()}")


def _median(parts: Floats) -> str:
    return _said(float(np.quantile(parts, 0.5, method="higher")))


def _upper(parts: Floats) -> str:
    return _said(float(np.quantile(parts, 0.9, method="higher")))


def _said(parts: float) -> str:
    return "-" if np.isinf(parts) else f"{parts:.0f}"


if __name__ == "__main__":
    main()
