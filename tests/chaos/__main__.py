"""Runs schedules by their seeds and writes the record: `python -m tests.chaos --seeds 0:200 --out record.json`.

A schedule that breaks an invariant is printed as the command that runs it alone. Exit code 0 where none does.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.harness.report import machine
from tests.chaos.invariants import READY_S
from tests.chaos.run import Outcome, Runner
from tests.chaos.schedule import draw
from tests.chaos.world import opened


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the schedules that were asked for."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--seeds", default="0:200", help="one, or FIRST:END [0:200]")
    options.add_argument("--ready-s", type=float, default=READY_S, help="seconds to be ready again in [5]")
    options.add_argument("--log", type=Path, help="file for the service's log")
    options.add_argument("--out", type=Path, help="JSON file for the record")
    given = options.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that service and disk are given back
    first, _, end = given.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    where, begun = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mkd-chaos-") as root, opened(Path(root)) as world:
        runner, outcomes = Runner(world, given.ready_s), []
        for seed in seeds:
            outcomes.append(runner.run(draw(seed)))
            say(outcomes[-1])
            if given.log is not None:
                given.log.write_text(world.service.log(), encoding="utf-8")
        starts = list(world.starts_s)
    record = summary(outcomes, starts) | {"minutes": round((time.monotonic() - begun) / 60, 1), "machine": where}
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in record.items() if name != "machine"}, indent=2))
    return 1 if record["failed"] else 0


def say(outcome: Outcome) -> None:
    """A line for each schedule, and one more for each fault."""
    mark = "BROKEN" if outcome.faults else "kept"
    counts = f"{outcome.verdicts} verdicts, {outcome.statuses}, admin {outcome.admin}, lost {outcome.lost}"
    times = f"{outcome.seconds:5.1f} s, ready {outcome.ready_s:.1f} s ({outcome.wall_s:.1f})"
    print(f"{outcome.schedule.seed:4} {mark:6} {times}, {counts}: {outcome.schedule.text()}", flush=True)
    for fault in outcome.faults[:10]:
        print(f"       {fault}")
    if outcome.faults:
        print(f"       again: {command_of(outcome.schedule.seed)}", flush=True)


def command_of(seed: int) -> str:
    """What runs this schedule alone."""
    return f"python -m tests.chaos --seeds {seed}"


def summary(outcomes: Sequence[Outcome], starts: Sequence[float]) -> dict[str, object]:
    """Counts over all schedules."""
    ready = sorted(outcome.ready_s for outcome in outcomes)
    wall = sorted(outcome.wall_s for outcome in outcomes)
    return {
        "schedules": len(outcomes),
        "seeds": f"{outcomes[0].schedule.seed} to {outcomes[-1].schedule.seed}",
        "failed": [
            {"seed": outcome.schedule.seed, "command": command_of(outcome.schedule.seed), "faults": outcome.faults}
            for outcome in outcomes
            if outcome.faults
        ],
        "events": dict(Counter(event.kind for outcome in outcomes for event in outcome.schedule.events).most_common()),
        "verdicts": sum(outcome.verdicts for outcome in outcomes),
        "statuses": _added(outcome.statuses for outcome in outcomes),
        "admin_statuses": _added(outcome.admin for outcome in outcomes),
        "connections_lost_to_kills": sum(outcome.lost for outcome in outcomes),
        "ready_again_s": {"median": round(ready[len(ready) // 2], 2), "most": round(ready[-1], 2)},
        "ready_again_with_waiting_s": {"median": round(wall[len(wall) // 2], 2), "most": round(wall[-1], 2)},
        "starts_s": [round(seconds, 1) for seconds in starts],
    }


def _added(counts: Iterable[dict[int, int]]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


if __name__ == "__main__":
    sys.exit(main())
