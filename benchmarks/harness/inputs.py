"""Makes what a benchmark serves and sends: a folder with one product, and PNG pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from examples.demo_images import Counts, brick_wall, crop, write_set
from models.artifact import Artifact, active_artifact, load_artifact
from models.heads.mkd.config import MkdConfig
from trainer.config import TrainingSettings
from trainer.display import RichDisplay
from trainer.run import TrainingJob, train

SIDE = 128  # pixels of a picture that is sent
SHORT_METHOD = MkdConfig(steps=60, learning_rate=0.003, average_decay=0.9)
SHORT_RUN = TrainingSettings(method=SHORT_METHOD, hold_out=0.34)
PICTURES_TO_TRAIN = Counts(train=90, good=0, defect=0)
TINT = (1.0, 0.93, 0.84)


@contextmanager
def served_folder(artifact: Path | None) -> Iterator[tuple[Path, Artifact]]:
    """A folder that holds a copy of `artifact`, or of one trained here for a minute, and that copy."""
    with TemporaryDirectory(prefix="mkd-bench-") as name:
        folder = Path(name) / "artifacts"
        if artifact is None:
            made = train_short(Path(name) / "data", folder)
        else:
            path = active_artifact(artifact)
            made = load_artifact(Path(shutil.copytree(path, folder / load_artifact(path).manifest.product)))
        yield folder, made


def train_short(data: Path, out: Path) -> Artifact:
    """A product `brick`, trained on crops of scikit-image's brick wall: real work for the service, poor verdicts."""
    print("no --artifact was given: training a short one")
    write_set(data, PICTURES_TO_TRAIN)
    return train(TrainingJob(data=data, product="brick", out=out, settings=SHORT_RUN), RichDisplay())


def pictures(count: int, seed: int = 0) -> list[bytes]:
    """PNG files of different tinted photographs, SIDE pixels square, RGB, 8 bits."""
    random, photograph = np.random.default_rng(seed), brick_wall()
    files = []
    for _ in range(count):
        grey = crop(photograph, random)
        pixels = np.clip(np.rint(grey[:, :, None] * np.array(TINT)), 0, 255).astype(np.uint8)
        done, encoded = cv2.imencode(".png", pixels)
        assert done
        files.append(encoded.tobytes())
    return files
