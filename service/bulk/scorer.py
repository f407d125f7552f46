"""Images in, rows of verdicts out: threads decode ahead while the device judges, batch by batch in a fixed order.

Decoding, preprocessing, judging and deciding are the service's own, so the rows say what the service would answer. A
batch holds the same images in every run, so that a run that was interrupted ends with the same numbers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from models.artifact import load_artifact
from models.backends.pool import BackendName
from models.detector import Judgement
from models.detector import Row as DetectorRow
from models.imaging.decode import ImageError, ImageLimits
from models.imaging.map_picture import grey_picture, regions
from service.bulk.errors import BulkError
from service.bulk.images import BulkImage
from service.bulk.rows import Row, failure, located, row_of, verdict
from service.engine.device_runner import DeviceRunner, device_runners
from service.errors import InferenceFailed
from service.inspection.decode import Decoded, decode
from service.inspection.encode import MAX_REGIONS, PNG_EFFORT
from service.products.product import ProductVersion

PIXELS_AT_ONCE = 32 * 256 * 256  # as the service's max_batch_pixels
BATCHES_AHEAD = 2
Prepared = tuple[BulkImage, "Future[Decoded]"]


@dataclass(frozen=True)
class ScoringSettings:
    """What decides the numbers, and on what they are made. `sha256` is the artifact that the caller has seen."""

    artifact: Path
    sha256: str
    device: str = "cpu"
    engine: BackendName = "auto"
    threads: int = 1
    decode_threads: int = 1
    batch: int = 32
    maps: Path | None = None
    weights: Path | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)


class Scorer:
    """An artifact on a device. Raises ArtifactError, SourceWeightsError or BulkError where that cannot be."""

    def __init__(self, settings: ScoringSettings) -> None:
        artifact = load_artifact(settings.artifact)
        if artifact.sha256 != settings.sha256:
            raise BulkError(f"{settings.artifact} is {artifact.sha256[:12]} here and {settings.sha256[:12]} elsewhere")
        torch.set_num_threads(settings.threads)
        cv2.setNumThreads(1)
        runners = device_runners(
            [settings.device], engine=settings.engine, threads=settings.threads, weights_file=settings.weights
        )
        self._runner: DeviceRunner = runners[settings.device]()
        self._runner.verify(artifact)
        manifest = artifact.manifest
        self._version = ProductVersion(manifest.product, "", manifest.version, artifact.sha256, artifact)
        self._thresholds = artifact.calibration.thresholds()
        self._settings = settings
        self._batch = max(1, min(settings.batch, PIXELS_AT_ONCE // artifact.preprocessing.image_size**2))

    def rows(self, images: Iterator[BulkImage]) -> list[Row]:
        """One row per image, in order."""
        found: list[Future[Row]] = []
        with ThreadPoolExecutor(self._settings.decode_threads, "mkd-score") as pool:
            try:
                for group in self._ahead(images, pool):
                    found += self._judged(group, pool)
                return [future.result() for future in found]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ahead(self, images: Iterator[BulkImage], pool: ThreadPoolExecutor) -> Iterator[list[Prepared]]:
        waiting: deque[Prepared] = deque()
        while True:
            room = (BATCHES_AHEAD + 1) * self._batch - len(waiting)
            waiting += [(image, pool.submit(self._decode, image)) for image in islice(images, room)]
            if not waiting:
                return
            yield [waiting.popleft() for _ in range(min(self._batch, len(waiting)))]

    def _decode(self, image: BulkImage) -> Decoded:
        return decode(image.load(), self._settings.limits, self._version.preprocessing)

    def _judged(self, group: list[Prepared], pool: ThreadPoolExecutor) -> list[Future[Row]]:
        results: list[Decoded | ImageError] = []
        for _, future in group:
            try:
                results.append(future.result())
            except ImageError as error:
                results.append(error)
        wants_map = self._settings.maps is not None
        readable = [result for result in results if isinstance(result, Decoded)]
        answers = iter(self._judge([self._version.row(decoded.image, wants_map=wants_map) for decoded in readable]))
        rows = []
        for (image, _), result in zip(group, results, strict=True):
            outcome = next(answers) if isinstance(result, Decoded) else result
            size = (result.width, result.height) if isinstance(result, Decoded) else None
            rows.append(pool.submit(self._row, image, size, outcome))
        return rows

    def _judge(self, rows: Sequence[DetectorRow]) -> list[Judgement | InferenceFailed]:
        """A batch that fails is halved until the one image is found; memory that ran out is such a failure, too."""
        if not rows:
            return []
        try:
            judged = list(self._runner.step(rows))
        except Exception as error:
            if self._runner.diagnose(error) == "lost":
                raise
            if len(rows) == 1:
                logging.getLogger("mkdserve").exception("one image could not be judged")
                return [InferenceFailed(f"the device failed with this image: {type(error).__name__}")]
            self._runner.relieve()
            middle = len(rows) // 2
            return self._judge(rows[:middle]) + self._judge(rows[middle:])
        complaints = [self._runner.complaint(row, found) for row, found in zip(rows, judged, strict=True)]
        return [
            found if complaint is None else InferenceFailed(complaint)
            for found, complaint in zip(judged, complaints, strict=True)
        ]

    def _row(
        self, image: BulkImage, size: tuple[int, int] | None, outcome: Judgement | ImageError | InferenceFailed
    ) -> Row:
        row = row_of(image.row, image.path, self._version)
        if size is not None:
            row |= {"width": size[0], "height": size[1]}
        if isinstance(outcome, (ImageError, InferenceFailed)):
            return row | failure(outcome)
        row |= verdict(self._version, self._thresholds, outcome.score)
        if outcome.map is not None and size is not None:
            row |= self._located(image.row, outcome.map, *size)
        return row

    def _located(self, number: int, map_: np.ndarray[tuple[int, ...], np.dtype[np.float32]], w: int, h: int) -> Row:
        """The map as a PNG at the size of the input, named by its row: no name of the input becomes a path."""
        assert self._settings.maps is not None
        scale = self._version.calibration.map_scale
        name = f"{number:09}.png"
        done, data = cv2.imencode(".png", grey_picture(map_, scale, w, h), [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])
        if not done:
            raise BulkError(f"OpenCV could not write the map of row {number}")
        (self._settings.maps / name).write_bytes(data.tobytes())
        return located(regions(map_, scale, w, h)[:MAX_REGIONS], name)
