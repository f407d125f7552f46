"""A large JPEG decoded in full and at a fraction: what it saves, and how far it moves pixels and scores.

`python -m benchmarks.jpeg_decoding ARTIFACT FOLDER [--images 20]`. The folder's images are enlarged to common camera
sizes, grained as a sensor does and stored as JPEG; both ways of decoding are timed in turn.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from models.artifact import Artifact, active_artifact, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.imaging.decode import Pixels
from models.imaging.picture_views import PictureViews, PreparedImage
from trainer.data import read_pixels

CAMERAS = {"1.3 megapixels": (1280, 1024), "5 megapixels": (2448, 2048), "12 megapixels": (4096, 3000)}
QUALITY = 90
GRAIN = 2.0  # standard deviation in grey levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=20)
    given = parser.parse_args()
    artifact = load_artifact(active_artifact(given.artifact))
    files = sorted(file for file in given.folder.rglob("*.*") if file.suffix.lower() in {".png", ".jpg"})
    pictures = [read_pixels(file) for file in files[: given.images]]
    pool = SourcePool(torch.device("cpu"))
    pool.require(artifact.source, artifact.workload)
    detector = Detector(pool.device, pool)
    spread = artifact.calibration.scores[-1] - artifact.calibration.scores[0]
    print(f"{len(pictures)} images, {artifact.preprocessing.image_size} px, {cv2.getNumThreads()} OpenCV threads\n")
    print(
        f"{'':16}{'full ms':>9}{'reduced ms':>12}{'grey levels: most':>19}{'mean':>7}{'score, % of spread: most':>26}"
    )
    for name, size in CAMERAS.items():
        _tell(name, [as_jpeg(picture, size) for picture in pictures], artifact, detector, spread)


def _tell(name: str, jpegs: list[bytes], artifact: Artifact, detector: Detector, spread: float) -> None:
    ways = {way: artifact.preprocessing.model_copy(update={"jpeg": way}) for way in ("full", "reduced")}
    found: dict[str, list[PreparedImage]] = {way: [] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for data in jpegs:
        for way, preprocessing in ways.items():
            started = time.perf_counter()
            found[way].append(PictureViews(preprocessing).prepare_file(data))
            seconds[way].append(time.perf_counter() - started)
    apart = [255 * np.abs(a.whole - b.whole) for a, b in zip(found["full"], found["reduced"], strict=True)]
    scores = {
        way: [one.score for one in detector.judge([Row(file.whole, artifact.head, artifact.source) for file in files])]
        for way, files in found.items()
    }
    moved = max(abs(a - b) for a, b in zip(scores["full"], scores["reduced"], strict=True))
    full, reduced = (1000 * statistics.median(seconds[way]) for way in ways)
    most, mean = max(one.max() for one in apart), np.mean([one.mean() for one in apart])
    print(f"{name:16}{full:>9.1f}{reduced:>12.1f}{most:>19.1f}{mean:>7.2f}{100 * moved / spread:>26.2f}", flush=True)


def as_jpeg(picture: Pixels, size: tuple[int, int]) -> bytes:
    """The picture as a camera of that size would have sent it."""
    large = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += np.random.default_rng(0).normal(0, GRAIN, large.shape[:2])[..., None].astype(np.float32)
    with io.BytesIO() as file:
        Image.fromarray(np.clip(large, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
        return file.getvalue()


if __name__ == "__main__":
    main()
