"""EfficientNet-Lite0 in float32 and in int8 beside the networks of STFPM and PatchCore, in turns.

Ours is all of a verdict's work: a JPEG of the camera is decoded, resized, goes through the source to stride16 and to
PaDiM's head (random numbers in it: they change nothing of its speed). The peers decode and resize the same file and run
torchvision's ResNet-18, twice as STFPM does (teacher and student), or Wide ResNet-50, both to layer3, the depth of the
same stride, with random weights; their heads are left out, which is in their favour. Processor time is told beside wall
time, as it hardly feels what else the machine does.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness.report import Bar, machine, options_of, report
from models.backends.base import SourceKey
from models.backends.pool import SourcePool, source_key
from models.backends.single_threads import waiting_threads_sleep
from models.detector import Detector, Row
from models.heads.padim.config import PadimRecord
from models.heads.padim.head import PadimHead
from models.imaging.decode import decode_image
from models.imaging.preprocess import Prepared, Preprocessing, prepare
from models.sources.registry import SOURCES, Precision
from service.machine.openmp import let_waiting_threads_sleep

SOURCE, TAPS = SOURCES["efficientnet-lite0"], ("stride8", "stride16")
DIMENSIONS = 100
CAMERA = (480, 640)  # pixels of a picture that comes in
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
BATCHES = (1, 32)
WARM_UP = 8  # single pictures, after which a backend knows its faster way
TIMES_STFPM, TIMES_PATCHCORE = 5.0, 12.0
CPU = torch.device("cpu")
Run = Callable[[Sequence[bytes]], object]


def contenders(threads: int, side: int) -> dict[str, Run]:
    """By name, what takes JPEG files and gives scores or, of the peers, activations."""
    entered = partial(_entered, preprocessing=Preprocessing(image_size=side, jpeg="reduced", version=2))
    found: dict[str, Run] = {"STFPM": _peer("resnet18", 2, entered), "PatchCore": _peer("wide_resnet50_2", 1, entered)}
    for precision in PRECISIONS:
        pool = SourcePool(CPU, threads=threads)
        key = source_key(SOURCE.name, "source", precision=precision)
        print(f"ours in {precision}: backend {pool.require(key).name}")
        found[f"ours_{precision}"] = _ours(Detector(CPU, pool), key, side, entered)
    return found


def _entered(file: bytes, preprocessing: Preprocessing) -> Prepared:
    return prepare(decode_image(file), preprocessing)


def _ours(detector: Detector, key: SourceKey, side: int, entered: Callable[[bytes], Prepared]) -> Run:
    head = random_padim(side)

    def run(files: Sequence[bytes]) -> object:
        return detector.judge([Row(entered(file), head, key) for file in files])

    return run


def random_padim(side: int) -> PadimHead:
    """PaDiM's head on top of the source for pictures of that side, with random numbers."""
    taps = [SOURCE.taps[tap] for tap in TAPS]
    channels, places = sum(tap.channels for tap in taps), (side // taps[0].stride) ** 2
    random = torch.Generator().manual_seed(0)
    projection = torch.randn(channels, DIMENSIONS, generator=random)
    factor = torch.randn(places, DIMENSIONS, DIMENSIONS, generator=random).half()
    record = PadimRecord(taps=TAPS, tap_scales=(1.0, 1.0), grid_tap=TAPS[0], covariance="place")
    return PadimHead(record, projection.half(), torch.zeros(places, DIMENSIONS).half(), factor)


def _peer(name: str, times: int, entered: Callable[[bytes], Prepared]) -> Run:
    import torchvision  # a network to compare with; the service has no use for it

    network = getattr(torchvision.models, name)(weights=None).eval()
    kept = nn.Sequential(*list(network.children())[:7])  # to layer3

    @torch.inference_mode()
    def run(files: Sequence[bytes]) -> object:
        images = torch.from_numpy(np.stack([entered(file) for file in files]))
        found: list[Tensor] = [kept(images) for _ in range(times)]
        return found

    return run


def files(count: int) -> list[bytes]:
    """JPEG files of blurred noise, as large as a photograph of that size."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        noise = cv2.GaussianBlur(random.integers(0, 256, (*CAMERA, 3), np.uint8), (0, 0), 2)
        found.append(cv2.imencode(".jpg", cv2.convertScaleAbs(noise, alpha=4, beta=-384))[1].tobytes())
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--rounds", type=int, default=7, help="[7]")
    options.add_argument("--side", type=int, default=224, help="of the networks' input in pixels [224]")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    where, runs, pictures = machine(), contenders(given.threads, given.side), files(max(BATCHES))
    for name in runs:
        for _ in range(WARM_UP):
            runs[name](pictures[:1])
    wall: dict[tuple[str, int], list[float]] = {}
    busy: dict[tuple[str, int], list[float]] = {}
    for number in range(given.rounds + 1):
        for batch in BATCHES:
            for name in runs if number % 2 == 0 else reversed(runs):
                begin, processor = time.perf_counter(), time.process_time()
                runs[name](pictures[:batch])
                if number:  # the first round warms up
                    wall.setdefault((name, batch), []).append((time.perf_counter() - begin) / batch * 1000)
                    busy.setdefault((name, batch), []).append((time.process_time() - processor) / batch * 1000)
    results: dict[str, object] = {"threads": given.threads}
    for name, batch in wall:
        both = {"wall_ms": wall[name, batch], "processor_ms": busy[name, batch]}
        for kind, values in both.items():
            results[f"{name}_batch_{batch}_{kind}"] = round(statistics.median(values), 2)
    bars = [
        Bar(f"{kind} of {peer} as a multiple of ours in {precision}, batch {batch}", _ratio(*case), ">=", bar)
        for precision in PRECISIONS
        for kind, times in (("wall time", wall), ("processor time", busy))
        for peer, bar in (("STFPM", TIMES_STFPM), ("PatchCore", TIMES_PATCHCORE))
        for batch in BATCHES
        for case in ((times, peer, precision, batch),)
    ]
    return report("fast_source", given, where, results, bars)


def _ratio(times: dict[tuple[str, int], list[float]], peer: str, precision: Precision, batch: int) -> float:
    """Median over the rounds of the peer's time divided by ours."""
    pairs = zip(times[peer, batch], times[f"ours_{precision}", batch], strict=True)
    return statistics.median(theirs / own for theirs, own in pairs)


if __name__ == "__main__":
    if not waiting_threads_sleep():  # as in the service; torch's OpenMP reads it when it is loaded, so anew
        let_waiting_threads_sleep()
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.fast_source", *sys.argv[1:]])
    sys.exit(main())
