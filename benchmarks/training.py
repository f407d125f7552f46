"""Images a second of a training run, ours against the reference way, in turns; and whether the same comes out.

The reference way: torch, NCHW, the source runs anew over every batch of every epoch. Ours: the source runs once over
the set by the installed engine, which counts, and the cloner trains on cached half-precision activations, channels
last. Both start from the same weights and see the same batches; both heads then judge the same test pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.harness.report import Bar, machine, options_of, report
from examples.demo_images import Counts, write_set
from models.backends.base import SourceBackend
from models.backends.pool import SourcePool, source_key
from models.detector import Detector
from models.heads.base import Head, to_device
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.fit import MkdTrainable
from models.image_judge import ImageJudge
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.sources.network import build_source
from models.sources.registry import spec_of
from models.sources.weights import load_source_weights
from trainer.activations import ActivationStore
from trainer.calibrate import judge_all
from trainer.config import TrainingSettings
from trainer.data import LIMITS, good_folder, image_files, prepared_images
from trainer.good_parts import StoredParts
from trainer.labelled import read_labelled_set
from trainer.loop import GradientLoop, Progress
from trainer.metrics import auroc

CPU = torch.device("cpu")
TIMES_REFERENCE = 3.0
EQUAL_AUROC = 0.01
TURN = 10  # steps
BRICKS = Counts(train=96, good=40, defect=10)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bars are met."""
    options = options_of(__doc__)
    options.add_argument("--data", type=Path, help="set in the MVTec layout; without it the demo's brick wall")
    options.add_argument("--images", type=int, default=96, help="to train on at most [96]")
    options.add_argument("--steps", type=int, default=100, help="of 16 images, each way [100]")
    given = options.parse_args(arguments)
    where = machine()
    with TemporaryDirectory(prefix="mkd-bench-") as name:
        data = given.data
        if data is None:
            data = Path(name) / "bricks"
            write_set(data, BRICKS)
        results, bars = measure(given, data, Path(name))
    return report("training", given, where, results, bars)


class Pause(Exception):
    """A turn is over."""


class ReferenceBackend:
    """The source in torch, NCHW."""

    name = "reference"

    def __init__(self, settings: TrainingSettings) -> None:
        tensors = load_source_weights(settings.source)
        self._network = build_source(spec_of(settings.source), settings.normalisation, tensors)

    @torch.no_grad()
    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend."""
        found: dict[str, Tensor] = self._network(images, taps)
        return found


class EveryTime(ActivationStore):
    """A store that keeps images alone: the source runs for each batch."""

    def batch(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.from_numpy(self._images[list(indices)])
        return images, self.backend.activations(images, self.taps)


class Way:
    """One way to train, with the seconds it took so far."""

    def __init__(self, store: ActivationStore, method: MkdConfig, folder: Path) -> None:
        torch.manual_seed(0)
        self.parts = StoredParts(store, range(store.count), CPU, ExitStack())
        self.trainable = MkdTrainable(method, self.parts.rms(), store.source)
        checkpoint = folder / "checkpoint.safetensors"
        self.fit = GradientLoop(
            self.trainable, self.parts, method, seed=0, checkpoint=checkpoint, fingerprint="benchmark"
        )
        self.seconds = 0.0

    def head(self) -> Head:
        """The finished head."""
        trained = self.fit.trained()
        assert isinstance(trained, MkdTrainable)
        return trained.finish(self.parts.batches())

    def turn(self) -> None:
        """TURN steps."""
        until = self.fit.step + TURN

        def told(progress: Progress) -> None:
            if progress.step == until:
                raise Pause

        started = time.perf_counter()
        try:
            self.fit.run(told)
        except Pause:
            pass
        finally:
            self.seconds += time.perf_counter() - started


def measure(given: argparse.Namespace, data: Path, folder: Path) -> tuple[dict[str, object], list[Bar]]:
    """Both ways in turns of ten steps, then both heads on the test pictures."""
    method = MkdConfig(steps=-(-given.steps // TURN) * TURN)
    settings = TrainingSettings(method=method)
    pool = SourcePool(CPU)
    source = source_key(settings.source, settings.normalisation, precision=settings.source_precision)
    pool.require(source)
    files = tuple(image_files(good_folder(data))[: given.images])
    images = list(prepared_images(files, PictureViews(Preprocessing(image_size=settings.image_size))))
    size, count = settings.image_size, len(images)
    spec, taps = spec_of(settings.source), method.taps
    reference_backend: SourceBackend = ReferenceBackend(settings)
    with (
        ActivationStore(count, size, pool[source], spec, taps, folder=folder / "ours") as cached,
        EveryTime(count, size, reference_backend, spec, taps, folder=folder / "reference", limit_bytes=0) as anew,
    ):
        started = time.perf_counter()
        cached.fill(iter(images))
        filling = time.perf_counter() - started
        anew.fill(iter(images))  # for the taps' scales, which the reference way gets for nothing
        ways = {"reference": Way(anew, method, folder), "ours": Way(cached, method, folder)}
        ways["reference"].trainable.cloner.to(memory_format=torch.contiguous_format)
        for number in range(method.steps // TURN):
            for name in list(ways) if number % 2 == 0 else reversed(ways):
                ways[name].turn()
            print(f"step {ways['ours'].fit.step}: " + ", ".join(f"{n} {w.seconds:.1f} s" for n, w in ways.items()))
        heads = {name: to_device(way.head(), CPU) for name, way in ways.items()}
    found = {name: judged(head, Detector(CPU, pool), data, settings) for name, head in heads.items()}
    seconds = {"reference": ways["reference"].seconds, "ours": ways["ours"].seconds + filling}
    return told_of(given, settings, count, pool[source].name, seconds, filling, ways, found)


def told_of(
    given: argparse.Namespace,
    settings: TrainingSettings,
    count: int,
    backend: str,
    seconds: dict[str, float],
    filling: float,
    ways: dict[str, Way],
    found: dict[str, float],
) -> tuple[dict[str, object], list[Bar]]:
    """Figures and bars."""
    assert isinstance(settings.method, MkdConfig)
    steps = settings.method.steps
    shown = steps * settings.method.batch_size
    rates = {name: shown / spent for name, spent in seconds.items()}
    losses = {name: float(np.mean(way.fit.losses[-TURN:])) for name, way in ways.items()}
    results: dict[str, object] = {
        "network_input_px": settings.image_size,
        "images": count,
        "epochs": round(shown / count, 1),
        "engine_of_the_caching_pass": backend,
        "caching_pass_s": round(filling, 2),
        "step_ms": {name: round(way.seconds / steps * 1000, 1) for name, way in ways.items()},
        "images_per_s_over_the_run": {name: round(rate, 1) for name, rate in rates.items()},
        "loss_of_the_last_ten_steps": {name: round(loss, 4) for name, loss in losses.items()},
        "image_auroc": {name: round(value, 4) for name, value in found.items()},
    }
    bars = [
        Bar(
            "images a second as a multiple of the reference way",
            rates["ours"] / rates["reference"],
            ">=",
            TIMES_REFERENCE,
        ),
        Bar("difference of the image AUROC", abs(found["ours"] - found["reference"]), "<=", EQUAL_AUROC),
    ]
    return results, bars


def judged(head: Head, detector: Detector, data: Path, settings: TrainingSettings) -> float:
    """Image AUROC of a head on the set's test pictures."""
    labelled = read_labelled_set(data)
    source = source_key(settings.source, settings.normalisation, precision=settings.source_precision)
    judge = ImageJudge(head, source, Preprocessing(image_size=settings.image_size))
    images = (judge.prepare_file(image.file.read_bytes(), LIMITS) for image in labelled)
    scores = judge_all(detector, judge, images).scores
    anomalous: npt.NDArray[np.bool_] = np.array([image.anomalous for image in labelled])
    return auroc(anomalous, scores)


if __name__ == "__main__":
    sys.exit(main())
