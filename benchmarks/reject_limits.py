"""How often the alert MkdRejectsHigh fires by chance: false alarms of a year, by its limits and by a p-chart's.

A product whose parts are NG independently, at the expected share; the NG parts of the last hour are looked at once a
minute. An alarm that comes within an hour of another one is the same alarm. No service is started.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness.report import RESULTS, Bar, machine, report

MINUTES_OF_A_YEAR = 365 * 24 * 60
WINDOW = 60
DISTANCE = 4.0  # of the rule in docker/alerts.yml
CASES = tuple((share, hourly) for share in (0.01, 0.05, 0.2) for hourly in (60, 600, 3600))
ALARMS_A_YEAR = 3.0

Counts = npt.NDArray[np.float64]


def distance(rejected: Counts, parts: float, share: float) -> Counts:
    """Freeman and Tukey's distance of Poisson counts from their expectation, in standard deviations."""
    far: Counts = np.sqrt(rejected) + np.sqrt(rejected + 1) - np.sqrt(4 * parts * share + 1)
    return far


def p_chart(rejected: Counts, parts: float, share: float) -> Counts:
    """The same by the normal approximation that a p-chart's limits rest on."""
    far: Counts = (rejected - parts * share) / np.sqrt(parts * share * (1 - share))
    return far


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate; 0 where the rule keeps its bar in every case."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--years", type=int, default=10, help="of each case [10]")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    given = options.parse_args(arguments)
    results: dict[str, object] = {}
    most = 0.0
    for share, hourly in CASES:
        counts = hourly_counts(share, hourly, given.years)
        by_rule = alarms(counts, distance, DISTANCE, share, hourly) / given.years
        by_chart = alarms(counts, p_chart, 3.0, share, hourly) / given.years
        most = max(most, by_rule)
        found = {"noticed_from_ng_share": noticed(share, hourly), "by_rule": by_rule, "by_p_chart": by_chart}
        results[f"share {share:g}, {hourly} parts an hour"] = found
    bars = [Bar("false alarms of a product in a year, at most", most, "<=", ALARMS_A_YEAR)]
    return report("reject_limits", given, machine(), results, bars)


def hourly_counts(share: float, hourly: int, years: int, seed: int = 0) -> Counts:
    """NG parts of the last hour, at each minute of `years`."""
    random = np.random.default_rng(seed)
    total = np.cumsum(random.binomial(hourly // WINDOW, share, MINUTES_OF_A_YEAR * years), dtype=np.int64)
    window: Counts = (total[WINDOW:] - total[:-WINDOW]).astype(np.float64)
    return window


def alarms(
    counts: Counts, far: Callable[[Counts, float, float], Counts], limit: float, share: float, hourly: int
) -> int:
    """How many separate alarms there are."""
    minutes = np.flatnonzero(far(counts, hourly, share) > limit)
    return 0 if len(minutes) == 0 else 1 + int((np.diff(minutes) > WINDOW).sum())


def noticed(share: float, hourly: int) -> float:
    """The smallest NG share of an hour at which the rule fires."""
    counts = np.arange(hourly + 1, dtype=np.float64)
    return round(float(np.argmax(distance(counts, hourly, share) > DISTANCE)) / hourly, 4)


if __name__ == "__main__":
    sys.exit(main())
