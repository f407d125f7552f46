"""Makes what the chaos tests serve: three products in two versions each, and pictures whose verdicts are known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.harness.stand_in_parts import SIZE, SOURCE, StandInParts, pictures
from models.artifact import Artifact, GoldenRecord, Manifest, SourceRecord, TrainingRecord, write_artifact
from models.calibration.conformal import calibrate
from models.detector import Detector, Judgement
from models.heads.base import Bar, Head, to_device
from models.heads.padim.config import PadimConfig
from models.heads.registry import method_of
from models.image_judge import ImageJudge
from models.imaging.decode import decode_image
from models.imaging.preprocess import Preprocessing
from tests.chaos.stand_in_source import KEY, StandInBackend
from trainer.fit_run import TrainingRun

PRODUCTS = ("bolt", "plate", "tile")
VERSIONS = ("1", "2")
SENT, SPOILT = 6, 2  # different pictures, the last of them with a dark patch
TRAINED, HELD_OUT = 24, 20


@dataclass(frozen=True)
class Known:
    """What every verdict of one version must say."""

    hash: str
    threshold: float
    scores: tuple[float, ...]  # of the pictures that are sent, in order


@dataclass(frozen=True)
class Site:
    """A folder of artifacts, the pictures to send, and by product and version what must come back."""

    artifacts: Path
    pictures: tuple[bytes, ...]
    known: dict[str, dict[str, Known]] = field(default_factory=dict)

    def add(self, product: str, version: str, made: Artifact) -> None:
        """Work out what this artifact says of the pictures."""
        scores = tuple(one.score for one in judged(made.judge, self.pictures))
        what = Known(made.sha256, made.calibration.thresholds().ng.value, scores)
        self.known.setdefault(product, {})[version] = what


def make_site(root: Path) -> Site:
    """Write the artifacts below `root` and work out what they say of the pictures."""
    sent = tuple(png_files(SENT, seed=99, spoilt=SPOILT))
    site = Site(root, sent)
    for number, product in enumerate(PRODUCTS):
        for version in VERSIONS:
            site.add(product, version, write_product(root / product / version, product, version, number))
    return site


def write_product(path: Path, product: str, version: str, number: int, sha256: str = KEY.sha256) -> Artifact:
    """A fitted, calibrated artifact; number and version make its pictures and so its thresholds.

    `sha256` is what it says of its source's weights.
    """
    seed = 10 * number + int(version)
    judge = ImageJudge(fitted(seed), KEY, Preprocessing(image_size=SIZE))
    held_out = list(judged(judge, png_files(HELD_OUT, seed=1000 + seed), wants_map=True))
    scores = np.array([one.score for one in held_out], np.float32)
    golden = png_files(2, seed=2000 + seed)
    records = [
        GoldenRecord(file=f"golden/{number}.png", score=one.score, map_peak=float(np.max(map_of(one))))
        for number, one in enumerate(judged(judge, golden, wants_map=True))
    ]
    manifest = Manifest(
        product=product,
        version=version,
        method="padim",
        created_at="2026-01-01T00:00:00Z",
        source=SourceRecord(name=KEY.source, sha256=sha256, normalisation="source", licence=SOURCE.licence),
        preprocessing=judge.preprocessing,
        head=judge.head.record.model_dump(mode="json"),
        calibration=calibrate(scores, np.stack([map_of(one) for one in held_out])),
        training=TrainingRecord(
            settings={}, images_trained=TRAINED, images_held_out=HELD_OUT, data_sha256=f"{seed:064x}"
        ),
        golden=tuple(records),
        packages={},
    )
    return write_artifact(path, manifest, judge.head, golden)


def fitted(seed: int) -> Head:
    """A small PaDiM head on stand-in activations."""
    with tempfile.TemporaryDirectory() as work:
        run = TrainingRun(torch.device("cpu"), seed, _Silent(), Path(work), "padim")
        config = PadimConfig(taps=("pool3", "pool4"), dimensions=8, covariance="shared", regularisation=0.1)
        head = method_of("padim").fit(config, StandInParts(pictures(TRAINED, seed)), run)
    return to_device(head, torch.device("cpu"))


def judged(judge: ImageJudge, files: Sequence[bytes], *, wants_map: bool = False) -> list[Judgement]:
    """As the service judges these files."""
    detector = Detector(torch.device("cpu"), {KEY: StandInBackend()})
    prepared = (judge.prepare(decode_image(data)) for data in files)
    with torch.no_grad():
        return list(judge.judge_all(detector, prepared, wants_map=wants_map))


def map_of(judgement: Judgement) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The map of a judgement that was asked for one."""
    assert judgement.map is not None
    return judgement.map


def png_files(count: int, seed: int, spoilt: int = 0) -> list[bytes]:
    """So many pictures as PNG, the last `spoilt` of them with a dark patch."""
    files = []
    for number, image in enumerate(pictures(count, seed)):
        if number >= count - spoilt:
            image[:, 20:44, 20:44] = 0.0
        pixels = np.rint(image.numpy().transpose(1, 2, 0)[:, :, ::-1] * 255).astype(np.uint8)
        done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
        assert done
        files.append(encoded.tobytes())
    return files


class _Silent:
    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, done: int, note: str = "") -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        yield self
