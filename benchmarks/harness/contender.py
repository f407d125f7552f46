"""A name and an artifact in; seconds of batch after batch out: one detector that takes part, in a process of its own.

    python -m benchmarks.harness.contender ncnn ARTIFACT --threads 2

Each line of its input is `BATCH MAPS SECONDS`, each of its output the seconds of every batch of that turn. Names are
`reference`, the backends of this project (benchmarks.harness.backends), and `patchcore` and `stfpm` of anomalib where
it is installed.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import psutil
import torch

from benchmarks.harness.backends import built
from benchmarks.harness.service_process import ROOT
from models.artifact import Artifact, active_artifact, load_artifact
from models.detector import Detector, Row
from models.heads.mkd.discrepancy import discrepancy_terms, weighted_sum
from models.heads.mkd.head import MkdHead
from models.heads.parts.maps import saliency, smooth
from models.sources.network import build_source
from models.sources.registry import spec_of
from models.sources.weights import load_source_weights
from service.machine.openmp import let_waiting_threads_sleep

LARGEST_BATCH = 32
PEERS = ("patchcore", "stfpm")
BANK_IMAGES, BANK_SHARE = 200, 0.1  # PatchCore keeps a tenth of its training images' patches
Run = Callable[[int, bool], object]  # (batch, with maps)


class Contender:
    """The process above; `missing` says why it does not take part."""

    def __init__(self, name: str, artifact: Path, *, threads: int, python: str = sys.executable) -> None:
        self.name = name
        command = [python, "-m", "benchmarks.harness.contender", name, str(artifact.resolve())]
        self._command = [*command, "--threads", str(threads)]
        self.missing: str | None = None

    def __enter__(self) -> Self:
        let_waiting_threads_sleep()  # as in the service; the process inherits it
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.missing = self._read().get("missing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def turn(self, batch: int, maps: bool, seconds: float) -> list[float]:
        """Seconds of each batch, for that long and one batch at least."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{batch} {int(maps)} {seconds}\n")
        self._process.stdin.flush()
        return cast(list[float], self._read()["seconds"])

    def resident_mib(self) -> int:
        """Resident memory of the process."""
        return int(psutil.Process(self._process.pid).memory_info().rss) >> 20

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries may talk, too
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"{self.name} ended with exit code {self._process.wait(30)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take turns until the input ends."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("name")
    options.add_argument("artifact", type=Path)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.name in PEERS and importlib.util.find_spec("anomalib") is None:
        print(json.dumps({"missing": "not installed"}), flush=True)
        return 0
    try:
        run = contender(given.name, load_artifact(active_artifact(given.artifact)), given.threads)
    except (ImportError, ValueError) as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return 0
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        batch, maps, seconds = line.split()
        print(json.dumps({"seconds": timed(run, int(batch), maps == "1", float(seconds))}), flush=True)
    return 0


def timed(run: Run, batch: int, maps: bool, seconds: float) -> list[float]:
    """Seconds of each batch."""
    found: list[float] = []
    begin = time.perf_counter()
    while not found or time.perf_counter() - begin < seconds:
        started = time.perf_counter()
        run(batch, maps)
        found.append(time.perf_counter() - started)
    return found


def contender(name: str, artifact: Artifact, threads: int) -> Run:
    """What judges a batch under that name. Raises ImportError or ValueError where it cannot be had here."""
    if name == "reference":
        return reference(artifact)
    if name in PEERS:
        return peer(name, artifact)
    return ours(artifact, name, threads)


def random_images(artifact: Artifact) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """(3, S, S) float32 in [0, 1]."""
    size = artifact.preprocessing.image_size
    random = np.random.default_rng(0)
    return [random.random((3, size, size), dtype=np.float32) for _ in range(LARGEST_BATCH)]


def ours(artifact: Artifact, backend: str, threads: int) -> Run:
    """The detector as the service runs it."""
    pool, source = built(backend, artifact.source, threads)
    detector, images = Detector(pool.device, pool), random_images(artifact)

    def run(batch: int, maps: bool) -> object:
        return detector.judge([Row(image, artifact.head, source, maps) for image in images[:batch]])

    return run


def reference(artifact: Artifact) -> Run:
    """Written from the paper and its code's habits: NCHW, image by image, for a map the gradient through both."""
    head = artifact.head
    if not isinstance(head, MkdHead):
        raise ValueError(f"{artifact.path} is of the method {head.method}; the reference way is of mkd")
    key = artifact.source
    source = build_source(spec_of(key.source), key.normalisation, load_source_weights(key.source))
    images = [torch.from_numpy(image)[None] for image in random_images(artifact)]
    cloner = copy.deepcopy(head.cloner).to(memory_format=torch.contiguous_format)  # NCHW, as the source
    weights = torch.ones(len(head.record.taps), 2)

    def run(batch: int, maps: bool) -> object:
        for image in images[:batch]:
            inputs = image.clone().requires_grad_(maps)
            with torch.set_grad_enabled(maps):
                loss = weighted_sum(discrepancy_terms(head.scaled(source(inputs)), cloner(inputs)), weights)
            if maps:
                (gradient,) = torch.autograd.grad(loss.sum(), inputs)
                smooth(saliency(gradient))
        return None

    return run


def peer(name: str, artifact: Artifact) -> Run:
    """anomalib's torch model with random weights, which change nothing of its speed. Score and map come at once."""
    size = artifact.preprocessing.image_size
    if name == "patchcore":
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel

        model = PatchcoreModel(layers=["layer2", "layer3"], backbone="wide_resnet50_2", pre_trained=False)
        rows = int(BANK_IMAGES * BANK_SHARE * (size // 8) ** 2)
        model.memory_bank = torch.randn(rows, 512 + 1024)
    else:
        from anomalib.models.image.stfpm import torch_model

        extractor = torch_model.TimmFeatureExtractor
        torch_model.TimmFeatureExtractor = lambda **given: extractor(**{**given, "pre_trained": False})
        model = torch_model.STFPMModel(layers=["layer1", "layer2", "layer3"], backbone="resnet18")
    model.eval()
    images = torch.from_numpy(np.stack(random_images(artifact)))

    @torch.inference_mode()
    def run(batch: int, maps: bool) -> object:
        return model(images[:batch])

    return run


if __name__ == "__main__":
    sys.exit(main())
