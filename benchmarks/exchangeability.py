"""Whether thresholds from confirmed parts keep their promise, with and without a random share: 200 simulated lines.

Good parts score by a heavy-tailed law that has left the old calibration (the lamp has aged: all scores times
`--shift`), some parts are defects and score higher. The old thresholds decide; REVIEW and NG go to people, and of all
parts a random share, drawn before the score is known; people judge rightly. From what they confirm good, new thresholds
are made

    naive       from all confirmed parts alike, with or without spot checks
    added       the same, added to the old calibration's scores
    ours        service.feedback.recalibration: weighted by how parts were chosen, or refused

and the realised false-reject rate is exact, as the law of good scores is known. No service and no network is needed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.harness.report import RESULTS, Bar, machine, report
from models.calibration.conformal import Calibration, MapScale
from service.feedback.recalibration.parts import Part
from service.feedback.recalibration.proposal import Rates, proposed
from service.feedback.recalibration.refusals import Refused

SHARES = (0.0, 0.02, 0.1, 0.3)
RATE, REVIEW_RATE = 0.01, 0.05
OLD_PARTS = 199
SPREAD, DEFECT_SPREAD = 0.35, 0.5
DEVIATIONS = 3.5  # of the Monte-Carlo interval: 99.95 %
SCALE = MapScale(low=0, high=1, threshold=0.5, rate_promised=0.05)
METHODS = ("naive", "added", "ours")
HEADER = "| parts | spot checks | naive | added | ours | refused |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Line:
    """One kind of line: parts in the window, share of defects, how far the good scores have moved."""

    parts: int
    defects: float
    shift: float

    def good(self, random: np.random.Generator, count: int) -> list[float]:
        return [float(score) for score in self.shift * random.lognormal(0, SPREAD, count)]

    def rejected(self, threshold: float) -> float:
        """The exact share of good parts above a threshold."""
        return float(stats.lognorm.sf(threshold, SPREAD, scale=self.shift))

    def detected(self, threshold: float) -> float:
        """The exact share of defects above it."""
        return float(stats.lognorm.sf(threshold, DEFECT_SPREAD, scale=3 * self.shift))


def old_calibration(random: np.random.Generator) -> Calibration:
    """That of the training: the good scores before they moved."""
    scores = np.sort(random.lognormal(0, SPREAD, OLD_PARTS))
    return Calibration(scores=tuple(scores.tolist()), review_rate=REVIEW_RATE, ng_rate=RATE, map_scale=SCALE)


def window(line: Line, old: Calibration, share: float, random: np.random.Generator) -> list[Part]:
    """What the old thresholds made of the line's parts, and what people said of those that they saw."""
    thresholds = old.thresholds()
    assert thresholds.review is not None
    defective = random.random(line.parts) < line.defects
    scores = np.where(
        defective, 3 * line.shift * random.lognormal(0, DEFECT_SPREAD, line.parts), line.good(random, line.parts)
    )
    drawn = random.random(line.parts) < share
    found = []
    for number, (score, is_defect, spot_check) in enumerate(zip(scores.tolist(), defective, drawn, strict=True)):
        decision = thresholds.decide(score)
        judged = spot_check or decision != "OK"
        found.append(
            Part(
                verdict_id=int(random.integers(1 << 40)),
                at=float(number),
                score=score,
                decision=decision,
                threshold=thresholds.ng.value,
                review_threshold=thresholds.review.value,
                spot_check=bool(spot_check),
                spot_check_share=share,
                label=("defect" if is_defect else "good") if judged else None,
            )
        )
    return found


def threshold_by(method: str, old: Calibration, parts: Sequence[Part]) -> float:
    """The new NG threshold. Raises Refused."""
    if method == "ours":
        return proposed(parts, old, Rates(RATE, REVIEW_RATE)).after.ng.value
    scores = [part.score for part in parts if part.is_sample]
    if method == "added":
        scores += old.scores
    if not scores:
        raise Refused("nothing was confirmed")
    return old.model_copy(update={"scores": tuple(sorted(scores))}).threshold(RATE).value


def simulated(line: Line, share: float, method: str, repetitions: int) -> dict[str, float]:
    """Mean realised rate and detection over the repetitions that were not refused, with the mean's interval."""
    rates, detected = [], []
    for repetition in range(repetitions):
        random = np.random.default_rng([repetition, round(1000 * share), line.parts])
        old = old_calibration(random)
        parts = window(line, old, share, random)
        try:
            value = threshold_by(method, old, parts)
        except Refused:
            continue
        rates.append(line.rejected(value))
        detected.append(line.detected(value))
    count = len(rates)
    found: dict[str, float] = {"refused": repetitions - count, "promised": RATE}
    if count < 2:
        return found
    mean, half = float(np.mean(rates)), DEVIATIONS * float(np.std(rates, ddof=1)) / math.sqrt(count)
    low, high = np.quantile(rates, (0.05, 0.95)).tolist()
    return found | {
        "realised": mean,
        "mean_low": mean - half,
        "mean_high": mean + half,
        "realised_5": low,
        "realised_95": high,
        "detected": float(np.mean(detected)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate; 0 where our realised rate is never significantly above the promise, and nothing biased is proposed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repetitions", type=int, default=200, help="lines of each kind [200]")
    options.add_argument("--parts", type=int, nargs="+", default=[300, 1000], help="in the window [300 1000]")
    options.add_argument("--defects", type=float, default=0.02, help="share of parts [0.02]")
    options.add_argument("--shift", type=float, default=1.3, help="of the good scores [1.3]")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    given = options.parse_args(arguments)
    results: dict[str, object] = {}
    above = biased = 0
    print(HEADER)
    for parts in given.parts:
        line = Line(parts, given.defects, given.shift)
        for share in SHARES:
            cells = {method: simulated(line, share, method, given.repetitions) for method in METHODS}
            results |= {f"{parts} parts, {share:g} spot checks, {method}": cell for method, cell in cells.items()}
            above += cells["ours"].get("mean_low", 0.0) > RATE
            biased += share == 0 and cells["ours"]["refused"] < given.repetitions
            print(row(parts, share, cells), flush=True)
    bars = [
        Bar("kinds of lines whose mean rate lies above the promise", above, "<=", 0),
        Bar("kinds of lines without spot checks for which thresholds were proposed", biased, "<=", 0),
    ]
    return report("exchangeability", given, machine(), results, bars)


def row(parts: int, share: float, cells: Mapping[str, Mapping[str, float]]) -> str:
    """One line of the table in docs/feedback.md."""
    shown = " | ".join(_cell(cells[method]) for method in METHODS)
    return f"| {parts:,} | {share:.0%} | {shown} | {cells['ours']['refused']:.0f} |"


def _cell(cell: Mapping[str, float]) -> str:
    if "realised" not in cell:
        return "-"
    rates = [f"{100 * cell[name]:.2f}" for name in ("realised", "realised_5", "realised_95")]
    return f"{rates[0]} % ({rates[1]} to {rates[2]}); {100 * cell['detected']:.0f} %"


if __name__ == "__main__":
    sys.exit(main())
