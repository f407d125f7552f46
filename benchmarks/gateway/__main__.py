"""The line gateway by itself: 10,000 triggers with faults at random, and its own share of a cycle over loopback.

    python -m benchmarks.gateway [--triggers N] [--seed S] [--only faults|cycle]

Printed are the table of docs/line.md and the medians.
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.gateway.faults import faults
from benchmarks.gateway.plan import table
from benchmarks.gateway.share import cycle, modbus_cycles, opcua_cycles
from service import logs


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--triggers", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", choices=["faults", "cycle"])
    given = options.parse_args()
    logs.configure("critical")
    if given.only != "cycle":
        bench = asyncio.run(faults(given.triggers, given.seed))
        answers = sum(len(all_) for all_ in bench.answers.values())
        once = all(len(all_) == 1 for all_ in bench.answers.values())
        print(table(bench))
        print(f"triggers {len(bench.fault):,}, answers {answers:,} (each exactly one: {once}), ", end="")
        print(f"wrong OKs {bench.wrong_oks()}, judged after the window {bench.late()}, withdrawn {bench.withdrawn}")
    if given.only != "faults":
        cycle("modbus_server", modbus_cycles)
        cycle("opcua_server", opcua_cycles)


if __name__ == "__main__":
    main()
