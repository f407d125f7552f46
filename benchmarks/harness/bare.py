"""An artifact and prepared images in, images a second out: the detector alone, in a process of its own.

    python -m benchmarks.harness.bare ARTIFACT --batch 16 --threads 2 --engine auto

reads a number of seconds from each line of its input, judges batches for that long and prints what it did. Decoding and
preparing are not part of it; the images are in memory, as the service's engine gets them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from benchmarks.harness.inputs import pictures
from benchmarks.harness.service_process import ROOT
from models.artifact import active_artifact, load_artifact
from models.backends.choice import BACKEND_NAMES
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.imaging.decode import decode_image
from models.imaging.preprocess import prepare
from service.machine.openmp import let_waiting_threads_sleep

DIFFERENT_BATCHES = 4


class BareDetector:
    """The process above, from ready to stopped; it sleeps between two calls of `images_per_second`."""

    def __init__(self, artifact: Path, *, batch: int, threads: int, engine: str, maps: bool = False) -> None:
        self._command = [sys.executable, "-m", "benchmarks.harness.bare", str(artifact.resolve())]
        self._command += ["--batch", str(batch), "--threads", str(threads), "--engine", engine]
        self._command += ["--maps"] if maps else []

    def __enter__(self) -> Self:
        let_waiting_threads_sleep()  # as in the service; the process inherits it
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def images_per_second(self, seconds: float) -> float:
        """Judge for `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        done = self._read()
        return float(done["images"] / done["seconds"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare detector ended with exit code {self._process.wait(30)}")
        found: dict[str, Any] = json.loads(line)
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve numbers of seconds until the input ends."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("artifact", type=Path)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--engine", choices=BACKEND_NAMES, default="auto")
    options.add_argument("--maps", action="store_true", help="every image asks for its map")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    artifact, device = load_artifact(active_artifact(given.artifact)), torch.device("cpu")
    pool = SourcePool(device, backend=given.engine, threads=given.threads)
    pool.require(artifact.source, artifact.workload)
    detector = Detector(device, pool)
    images = [
        prepare(decode_image(png), artifact.preprocessing) for png in pictures(DIFFERENT_BATCHES * given.batch, seed=1)
    ]
    rows = [Row(image, artifact.head, artifact.source, given.maps) for image in images]
    batches = [rows[start : start + given.batch] for start in range(0, len(rows), given.batch)]
    detector.judge(batches[0])
    print(json.dumps({"backend": pool[artifact.source].name}), flush=True)
    for line in sys.stdin:
        print(json.dumps(judge_for(float(line), detector, batches)), flush=True)
    return 0


def judge_for(seconds: float, detector: Detector, batches: Sequence[Sequence[Row]]) -> dict[str, float]:
    """Batch after batch until the time is over."""
    started, images, number = time.perf_counter(), 0, 0
    while time.perf_counter() - started < seconds:
        batch = batches[number % len(batches)]
        number += 1
        images += len(detector.judge(batch))
    return {"images": images, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    sys.exit(main())
