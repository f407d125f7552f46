"""EfficientNet-Lite0 by each backend beside the networks of STFPM and PatchCore, in turns: wall and processor time.

The peers are torchvision's ResNet-18, twice as STFPM runs it (teacher and student), and Wide ResNet-50, both to layer3,
with random weights, which change nothing of their speed. Ours runs to stride16, its depth of the same stride. Heads are
left out on both sides. Processor time is told beside wall time, as it hardly feels what else the machine does.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.harness.report import Bar, machine, options_of, report
from models.backends.choice import RACED, candidates
from models.backends.pool import SourcePool, source_key
from models.backends.single_threads import waiting_threads_sleep
from models.sources.registry import SOURCES
from service.machine.openmp import let_waiting_threads_sleep

SOURCE, TAPS = "efficientnet-lite0", ("stride8", "stride16")
BATCHES = (1, 32)
TIMES_STFPM, TIMES_PATCHCORE = 5.0, 12.0
CPU = torch.device("cpu")
Run = Callable[[Tensor], object]


def contenders(threads: int) -> dict[str, Run]:
    """By name, what takes a batch (B, 3, S, S)."""
    found: dict[str, Run] = {"STFPM": _peer("resnet18", 2), "PatchCore": _peer("wide_resnet50_2", 1)}
    for backend in RACED[SOURCE]:
        if backend in candidates("auto", CPU, SOURCES[SOURCE])[0] and backend != "bfloat16":
            source = SourcePool(CPU, backend=backend, threads=threads).require(source_key(SOURCE, "source"))
            found[backend] = lambda images, run=source.activations: run(images, TAPS)  # type: ignore[misc]
    return found


def _peer(name: str, times: int) -> Run:
    import torchvision  # a network to compare with; the service has no use for it

    network = getattr(torchvision.models, name)(weights=None).eval()
    kept = nn.Sequential(*list(network.children())[:7])  # to layer3

    @torch.inference_mode()
    def run(images: Tensor) -> object:
        return [kept(images) for _ in range(times)]

    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--rounds", type=int, default=7, help="[7]")
    options.add_argument("--side", type=int, default=224, help="of a picture in pixels [224]")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    where, runs = machine(), contenders(given.threads)
    wall: dict[tuple[str, int], list[float]] = {}
    busy: dict[tuple[str, int], list[float]] = {}
    for number in range(given.rounds + 1):
        for batch in BATCHES:
            images = torch.rand(batch, 3, given.side, given.side)
            for name in runs if number % 2 == 0 else reversed(runs):
                begin, processor = time.perf_counter(), time.process_time()
                runs[name](images)
                if number:  # the first round warms up
                    wall.setdefault((name, batch), []).append((time.perf_counter() - begin) / batch * 1000)
                    busy.setdefault((name, batch), []).append((time.process_time() - processor) / batch * 1000)
    results: dict[str, object] = {"threads": given.threads}
    for name, batch in wall:
        both = {"wall_ms": wall[name, batch], "processor_ms": busy[name, batch]}
        for kind, values in both.items():
            results[f"{name}_batch_{batch}_{kind}"] = round(statistics.median(values), 2)
    bars = [
        Bar(f"{kind} of {peer} as a multiple of ours, batch {batch}", _ratio(times, peer, batch), ">=", bar)
        for kind, times in (("wall time", wall), ("processor time", busy))
        for peer, bar in (("STFPM", TIMES_STFPM), ("PatchCore", TIMES_PATCHCORE))
        for batch in BATCHES
    ]
    return report("fast_source", given, where, results, bars)


def _ratio(times: dict[tuple[str, int], list[float]], peer: str, batch: int) -> float:
    """Median over the rounds of the peer's time divided by ours, by the first backend of the race that is here."""
    ours = next(name for name in RACED[SOURCE] if (name, batch) in times)
    return statistics.median(a / b for a, b in zip(times[peer, batch], times[ours, batch], strict=True))


if __name__ == "__main__":
    if not waiting_threads_sleep():  # as in the service; torch's OpenMP reads it when it is loaded, so anew
        let_waiting_threads_sleep()
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.fast_source", *sys.argv[1:]])
    sys.exit(main())
