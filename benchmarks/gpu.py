"""All that has to be measured on a GPU in one go: source, detector, HTTP, training and memory, in under eight minutes.

    python -m benchmarks.gpu                      # on the first GPU
    python -m benchmarks.gpu --device cpu --minutes 3

Each part has a share of the time and says where it stopped; a part that fails is recorded with its error, and the
others go on.

It has not been run on a GPU, as none was at hand. On a CPU all parts come to their end (a long test, with small
settings).
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import psutil
import torch

from benchmarks.harness.connection import post_images
from benchmarks.harness.contender import random_images
from benchmarks.harness.inputs import PICTURES_TO_TRAIN, SHORT_RUN, pictures
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess
from benchmarks.http_closed_loop import check
from examples.demo_images import write_set
from models.artifact import Artifact, load_artifact
from models.backends.choice import BackendName
from models.backends.pool import SourcePool, source_key
from models.detector import Detector, Row
from models.heads.base import to_device
from models.sources.registry import SOURCES, Precision
from trainer.display import RichDisplay
from trainer.run import TrainingJob, train

BATCHES = (1, 8, 32, 128)
SIDES = (128, 224)
TURN_S = 0.6  # of one batch size
LONGEST_BATCH_S = 1.0  # a larger batch is not tried after one that took longer
SHARES = {"training": 0.3, "source": 0.3, "detector": 0.15, "http": 0.2}
Rows = list[dict[str, object]]


class Part:
    """One part of the run: until when it may measure, and on what."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device = device
        self._until = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether its share of the time is used up."""
        return time.monotonic() >= self._until

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Median seconds of one call, finished on the device, after a first that warms up."""
        self._timed(work)
        begin, found = time.monotonic(), [self._timed(work)]
        while time.monotonic() - begin < TURN_S and not self.over:
            found.append(self._timed(work))
        return statistics.median(found)

    def memory_mib(self) -> float:
        """Peak memory on the GPU since the last call, or the process's resident memory on a CPU."""
        if self.device.type != "cuda":
            return round(psutil.Process().memory_info().rss / 2**20)
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        torch.cuda.reset_peak_memory_stats(self.device)
        return round(peak)

    def _timed(self, work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - started


def source_rates(part: Part, backends: Sequence[str]) -> Rows:
    """Images a second of each source by backend, precision, side and batch."""
    found: Rows = []
    for name, backend, precision, half in _ways(part.device, backends):
        pool = SourcePool(part.device, backend=cast(BackendName, backend), half=half)
        try:
            source = pool.require(source_key(name, "source", precision=precision))
        except ValueError as error:
            found.append({"source": name, "backend": backend, "precision": precision, "missing": str(error)})
            continue
        for side in SIDES:
            for batch in BATCHES:
                if part.over:
                    return [*found, {"stopped": "the time was over"}]
                images = torch.rand(batch, 3, side, side)
                seconds = part.seconds_of(lambda: source.activations(images))  # noqa: B023 (called at once)
                way = {"source": name, "backend": source.name, "precision": precision, "half": half}
                rate = {"side": side, "batch": batch, "images_per_s": round(batch / seconds, 1)}
                found.append({**way, **rate, "memory_mib": part.memory_mib()})
                if seconds > LONGEST_BATCH_S:
                    break
    return found


def _ways(device: torch.device, backends: Sequence[str]) -> list[tuple[str, str, Precision, bool]]:
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    halves = (False, True) if device.type == "cuda" else (False,)
    return [
        (name, backend, precision, half)
        for name in SOURCES
        if name != "vgg16-torchvision"  # the same layers as vgg16
        for backend in backends
        for precision in precisions
        for half in (halves if backend == "torch" and precision == "float32" else (False,))
    ]


def detector_rates(part: Part, artifact: Artifact) -> Rows:
    """Images a second of source and head together, with and without maps, by batch."""
    pool = SourcePool(part.device)
    pool.require(artifact.source, artifact.workload)
    head = to_device(artifact.head, part.device)
    detector, images, found = Detector(part.device, pool), random_images(artifact), cast(Rows, [])
    for maps in (False, True):
        for batch in (size for size in BATCHES if size <= len(images)):
            if part.over:
                return [*found, {"stopped": "the time was over"}]
            rows = [Row(image, head, artifact.source, maps) for image in images[:batch]]
            seconds = part.seconds_of(lambda: detector.judge(rows))  # noqa: B023 (called at once)
            found.append({"maps": maps, "batch": batch, "images_per_s": round(batch / seconds, 1)})
    return [*found, {"memory_mib": part.memory_mib()}]


def http_rates(part: Part, folder: Path, seconds: float) -> Rows:
    """Images a second through HTTP, by path and images in a request, and the service's memory."""
    found: Rows = []
    images = pictures(32)
    with ServiceProcess(folder, "--devices", str(part.device), "--max-wait-s", "0") as service:
        for path in ("/score", "/localize"):
            for at_once, clients in ((1, 32), (16, 3)):
                requests = [post_images(path, images[start : start + at_once]) for start in range(0, 32, at_once)]
                tally = run(closed_loop(service.port, requests, clients=clients, seconds=seconds))
                check(tally)
                rate = round(tally.images_per_second(seconds / 6, seconds), 1)
                found.append({"path": path, "images_in_a_request": at_once, "images_per_s": rate})
        resident = service.resident_bytes() >> 20
        return [*found, {"ready_after_s": round(service.ready_after_s, 1), "resident_mib": resident}]


def training(part: Part, folder: Path) -> Rows:
    """A short training from pictures to a verified artifact: seconds and memory."""
    write_set(folder / "data", PICTURES_TO_TRAIN)
    started = time.monotonic()
    out = folder / "artifacts"
    job = TrainingJob(data=folder / "data", product="brick", out=out, settings=SHORT_RUN, device=part.device)
    train(job, RichDisplay())
    shutil.rmtree(out / ".work", ignore_errors=True)
    return [{"seconds": round(time.monotonic() - started, 1), "memory_mib": part.memory_mib()}]


def measure(device: torch.device, minutes: float, given: Path | None = None) -> tuple[dict[str, object], list[Bar]]:
    """All parts; with an artifact `given` none is trained."""
    backends = ("torch", "cuda") if device.type == "cuda" else ("torch", "auto")
    begin, results, failed = time.monotonic(), cast(dict[str, object], {}), 0
    with TemporaryDirectory(prefix="mkd-gpu-") as name:
        folder = Path(name)
        if given is not None:
            shutil.copytree(given, folder / "artifacts" / load_artifact(given).manifest.product)
        work: dict[str, Callable[[Part], Rows]] = {
            "training": lambda part: training(part, folder),
            "source": lambda part: source_rates(part, backends),
            "detector": lambda part: detector_rates(part, load_artifact(next((folder / "artifacts").iterdir()))),
            "http": lambda part: http_rates(part, folder / "artifacts", minutes * 60 * SHARES["http"] / 8),
        }
        if given is not None:
            del work["training"]
        for title, measured in work.items():
            print(f"{title} ...", flush=True)
            try:
                results[title] = measured(Part(device, minutes * 60 * SHARES[title]))
            except Exception as error:  # the others are measured all the same: a GPU is lent for minutes
                failed += 1
                results[title] = [{"failed": f"{type(error).__name__}: {error}"}]
    spent = (time.monotonic() - begin) / 60
    bars = [Bar("parts that failed", failed, "<=", 0), Bar("whole run", spent, "<=", minutes, " min")]
    return results, bars


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where no part failed and the time was kept."""
    options = options_of(__doc__)
    options.add_argument("--device", default="cuda", help="[cuda]")
    options.add_argument("--minutes", type=float, default=8.0, help="for all of it [8]")
    given = options.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device is here; --device cpu measures the same on the CPU", file=sys.stderr)
        return 2
    where: dict[str, object] = machine()
    if device.type == "cuda":
        where["gpu"] = torch.cuda.get_device_name(device)
    results, bars = measure(device, given.minutes, given.artifact)
    name = "gpu" if device.type == "cuda" else f"gpu_{device.type}"
    return report(name, given, where, results, bars)


if __name__ == "__main__":
    sys.exit(main())
