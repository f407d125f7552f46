"""Images a second of the bare detector by every engine here, and of the reference way, interleaved in one run.

`python -m benchmarks.engines ARTIFACT [--rounds 5]`. The reference way is written from the paper and its code's habits:
torch, NCHW, one image at a time; for a map the gradient goes back through both networks. It gives up on nothing else:
same weights, same cloner, same smoothing.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from models.anomaly_map import saliency, smooth
from models.artifact import Artifact, load_artifact
from models.detector import Detector, Row
from models.discrepancy import discrepancy_terms, weighted_sum
from models.engines.pool import EngineName, SourcePool
from models.heads.mkd import MkdHead
from models.source import SOURCES, SourceNetwork
from models.source_weights import load_source_weights

ENGINES: tuple[EngineName, ...] = ("torch", "ncnn", "winograd")
BATCHES = (1, 8, 32)
Run = Callable[[int, bool], None]  # (batch, with maps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    artifact = load_artifact(given.artifact)
    runs: dict[str, Run] = {"reference": _reference(artifact)}
    runs.update({engine: _engine(artifact, engine) for engine in ENGINES})
    seconds: dict[tuple[str, int, bool], list[float]] = {}
    for number in range(given.rounds + 1):
        for batch in BATCHES:
            for maps in (False, True):
                for name, run in runs.items():
                    started = time.perf_counter()
                    run(batch, maps)
                    if number:  # the first round warms up
                        seconds.setdefault((name, batch, maps), []).append((time.perf_counter() - started) / batch)
    _tell(artifact, seconds, given.rounds)


def _images(artifact: Artifact, count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    size = artifact.preprocessing.image_size
    random = np.random.default_rng(0)
    return [random.random((3, size, size), dtype=np.float32) for _ in range(count)]


def _engine(artifact: Artifact, name: EngineName) -> Run:
    pool = SourcePool(torch.device("cpu"), engine=name)
    pool.require(artifact.source)
    detector = Detector(torch.device("cpu"), pool)
    images = _images(artifact, max(BATCHES))

    def run(batch: int, maps: bool) -> None:
        detector.judge([Row(image, artifact.head, artifact.source, maps) for image in images[:batch]])

    return run


def _reference(artifact: Artifact) -> Run:
    head = artifact.head
    if not isinstance(head, MkdHead):
        raise SystemExit(f"{artifact.path} is of the method {head.method}; the reference way is of mkd")
    source = SourceNetwork(SOURCES[artifact.source.weights], artifact.source.normalisation)
    source.load_canonical(load_source_weights(artifact.source.weights))
    images = [torch.from_numpy(image)[None] for image in _images(artifact, max(BATCHES))]
    cloner = copy.deepcopy(head.cloner).to(memory_format=torch.contiguous_format)  # NCHW, as the source
    weights = torch.ones(len(head.config.taps), 2)

    def run(batch: int, maps: bool) -> None:
        for image in images[:batch]:
            inputs = image.clone().requires_grad_(maps)
            with torch.set_grad_enabled(maps):
                loss = weighted_sum(discrepancy_terms(head.scaled(source(inputs)), cloner(inputs)), weights)
            if maps:
                (gradient,) = torch.autograd.grad(loss.sum(), inputs)
                smooth(saliency(gradient))

    return run


def _tell(artifact: Artifact, seconds: dict[tuple[str, int, bool], list[float]], rounds: int) -> None:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "ncnn"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{artifact.preprocessing.image_size} px, {torch.get_num_threads()} threads, medians of {rounds} rounds\n")
    print(
        f"{'':<11}{'batch':>6}{'score img/s':>13}{'ratio':>7}{'localize img/s':>16}{'ratio':>7}{'localize/score':>16}"
    )
    for batch in BATCHES:
        base = {maps: statistics.median(seconds["reference", batch, maps]) for maps in (False, True)}
        for name in ("reference", *ENGINES):
            score, localize = (statistics.median(seconds[name, batch, maps]) for maps in (False, True))
            print(
                f"{name:<11}{batch:>6}{1 / score:>13.1f}{base[False] / score:>6.2f}x{1 / localize:>16.1f}"
                f"{base[True] / localize:>6.2f}x{localize / score:>15.2f}x"
            )


if __name__ == "__main__":
    main()
