"""An artifact in; every benchmark run after the other, and docs/benchmarks.md from their records, out. `make bench`.

`--quick` proves that they run, not what they promise. `--only` runs some and writes the page from all records there
are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import page
from benchmarks.harness.inputs import train_short
from benchmarks.harness.report import RESULTS
from benchmarks.harness.service_process import ROOT
from models.artifact import active_artifact, load_artifact


class Part(NamedTuple):
    """A benchmark, its options, and those that make it quick; `peers`: it takes the peers' interpreter."""

    name: str
    options: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    peers: bool = False
    artifact: bool = True


PARTS = {
    "roofline": Part("roofline", quick=("--rounds", "2")),
    "contenders": Part("contenders", quick=("--rounds", "1", "--seconds", "0"), peers=True),
    "training": Part("training", quick=("--steps", "20", "--images", "32"), artifact=False),
    "http_closed_loop": Part("http_closed_loop", quick=("--rounds", "1", "--seconds", "6")),
    "http_closed_loop_maps": Part("http_closed_loop", ("--path", "/localize"), ("--rounds", "1", "--seconds", "6")),
    "http_open_loop": Part("http_open_loop", quick=("--seconds", "15", "--peak-seconds", "6")),
    "peers_http": Part("peers_http", quick=("--rounds", "1", "--seconds", "6"), peers=True),
    "open_inference": Part("open_inference", quick=("--rounds", "1", "--requests", "8")),
    "fast_source": Part("fast_source", quick=("--rounds", "1"), artifact=False),
    "start": Part("start", ("--products", "2", "50"), ("--products", "1", "--rounds", "1")),
    "many_products": Part("many_products", quick=("--rounds", "1", "--seconds", "6")),
    "worker_deaths": Part("worker_deaths", quick=("--deaths", "2")),
    "soak": Part("soak", quick=("--requests", "500")),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 where a part failed or missed a bar."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--artifact", type=Path, help="artifact folder; without it a short one is trained, once")
    options.add_argument("--only", nargs="+", choices=sorted(PARTS), default=list(PARTS), help="these parts alone")
    options.add_argument("--quick", action="store_true", help="a few seconds each; kept in no record and on no page")
    options.add_argument(
        "--peers-python", type=Path, default=Path(sys.executable), help="interpreter that has the peers [this one]"
    )
    given = options.parse_args(arguments)
    with TemporaryDirectory(prefix="mkd-bench-") as name:
        artifact = given.artifact or train_short(Path(name) / "data", Path(name) / "artifacts").path
        artifact = active_artifact(artifact)
        load_artifact(artifact)  # a wrong folder should be told before an hour of measuring
        out = Path(name) / "results" if given.quick else RESULTS
        failed = [part for part in given.only if run(PARTS[part], given, artifact, out) != 0]
    if not given.quick:
        page.main()
    print(f"missed a bar or failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def run(part: Part, given: argparse.Namespace, artifact: Path, out: Path) -> int:
    """One part in a process of its own; its exit code."""
    command = [sys.executable, "-m", f"benchmarks.{part.name}", *part.options, "--out", str(out)]
    command += part.quick if given.quick else ()
    command += ["--artifact", str(artifact)] if part.artifact else []
    command += ["--peers-python", str(given.peers_python)] if part.peers else []
    print(f"\n=== {part.name} {' '.join(part.options)}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
