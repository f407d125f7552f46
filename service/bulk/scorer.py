"""Judges images without a server: threads decode ahead while the device judges, batch by batch in a fixed order.

Decoding, judging, deciding and pictures are the core's own, so the rows say what the service would answer. A
batch holds the same images in every run, so that a run that was interrupted ends with the same numbers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import cv2
import torch

from models.artifact import load_artifact
from models.backends.choice import BackendName
from models.detector import Judgement, Row
from models.image_judge import PreparedImage
from models.imaging.channels import Groups
from models.imaging.decode import ImageError, ImageLimits
from models.imaging.map_picture import OverlayStyle
from service.bulk.errors import BulkError
from service.bulk.images import BulkImage
from service.bulk.result_rows import ResultRow, failure, judged, located, row_of
from service.engine.device_runner import DeviceRunner, device_runners
from service.errors import InferenceFailed
from service.inspection.decode import prepare
from service.inspection.map_pictures import MapPictures, map_pictures
from service.inspection.options import InspectionOptions, PictureOptions, choose_thresholds
from service.inspection.verdict import StageTimes, Verdict, verdict_of
from service.products.product import ProductVersion

PIXELS_AT_ONCE = 32 * 256 * 256  # as the service's max_batch_pixels
BATCHES_AHEAD = 2
DecodingImage = tuple[BulkImage, "Future[PreparedImage]"]


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
    overlay: OverlayStyle | None = None
    weights: Path | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)
    groups: Groups = ()  # of channels, of the artifact


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
        self._thresholds = choose_thresholds(artifact.calibration, InspectionOptions())
        self._settings = settings
        self._batch_rows = max(1, min(settings.batch, PIXELS_AT_ONCE // artifact.preprocessing.image_size**2))
        self._batch = max(1, self._batch_rows // artifact.judge.views.count)

    def rows(self, images: Iterator[BulkImage]) -> list[ResultRow]:
        """One row per image, in order."""
        found: list[Future[ResultRow]] = []
        with ThreadPoolExecutor(self._settings.decode_threads, "mkd-score") as pool:
            try:
                for group in self._ahead(images, pool):
                    found += self._judged(group, pool)
                return [future.result() for future in found]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ahead(self, images: Iterator[BulkImage], pool: ThreadPoolExecutor) -> Iterator[list[DecodingImage]]:
        waiting: deque[DecodingImage] = deque()
        while True:
            room = (BATCHES_AHEAD + 1) * self._batch - len(waiting)
            waiting += [(image, pool.submit(self._decode, image)) for image in islice(images, room)]
            if not waiting:
                return
            yield [waiting.popleft() for _ in range(min(self._batch, len(waiting)))]

    def _decode(self, image: BulkImage) -> PreparedImage:
        try:
            return prepare(image.load(), self._version.judge, self._settings.limits)
        except ImageError:
            raise
        except Exception as error:  # one file is no reason to stop a run
            logging.getLogger("mkdserve").exception("one image could not be prepared: %s", image.path)
            raise ImageError("image_damaged", f"it could not be prepared: {type(error).__name__}") from error

    def _judged(self, group: list[DecodingImage], pool: ThreadPoolExecutor) -> list[Future[ResultRow]]:
        prepared: list[PreparedImage | ImageError] = []
        for _, future in group:
            try:
                prepared.append(future.result())
            except ImageError as error:
                prepared.append(error)
        answers = iter(self._judge([found for found in prepared if isinstance(found, PreparedImage)]))
        rows = []
        for (image, _), found in zip(group, prepared, strict=True):
            if isinstance(found, ImageError):
                rows.append(pool.submit(self._unread_row, image, found))
            else:
                rows.append(pool.submit(self._row, image, found, next(answers)))
        return rows

    def _judge(self, images: Sequence[PreparedImage]) -> list[Judgement | InferenceFailed]:
        """One answer for each image, in order, from those of its rows."""
        judge, wants_map = self._version.judge, self._settings.maps is not None
        rows = [judge.rows(image, wants_map=wants_map) for image in images]
        flat = [row for of_image in rows for row in of_image]
        batches = (flat[start : start + self._batch_rows] for start in range(0, len(flat), self._batch_rows))
        answers = chain.from_iterable(map(self._judge_rows, batches))
        found: list[Judgement | InferenceFailed] = []
        for image, of_image in zip(images, rows, strict=True):
            parts = list(islice(answers, len(of_image)))
            failed = [part for part in parts if isinstance(part, InferenceFailed)]
            whole = [part for part in parts if isinstance(part, Judgement)]
            found.append(failed[0] if failed else judge.join(image, whole))
        return found

    def _judge_rows(self, rows: Sequence[Row]) -> list[Judgement | InferenceFailed]:
        """A batch that fails is halved until the one row is found; memory that ran out is such a failure, too."""
        if not rows:
            return []
        try:
            judged_rows = list(self._runner.step(rows))
        except Exception as error:
            if self._runner.diagnose(error) == "lost":
                raise
            if len(rows) == 1:
                logging.getLogger("mkdserve").exception("one image could not be judged")
                return [InferenceFailed(f"the device failed with this image: {type(error).__name__}")]
            self._runner.relieve()
            middle = len(rows) // 2
            return self._judge_rows(rows[:middle]) + self._judge_rows(rows[middle:])
        complaints = [self._runner.complaint(row, found) for row, found in zip(rows, judged_rows, strict=True)]
        return [
            found if complaint is None else InferenceFailed(complaint)
            for found, complaint in zip(judged_rows, complaints, strict=True)
        ]

    def _unread_row(self, image: BulkImage, error: ImageError) -> ResultRow:
        return row_of(image.row, image.path, self._version) | failure(error)

    def _row(self, image: BulkImage, prepared: PreparedImage, answer: Judgement | InferenceFailed) -> ResultRow:
        row = row_of(image.row, image.path, self._version)
        row |= {"width": prepared.width, "height": prepared.height}
        if isinstance(answer, InferenceFailed):
            return row | failure(answer)
        verdict = self._verdict(image, prepared, answer)
        row |= judged(verdict)
        if self._settings.maps is not None and verdict.pictures is not None:
            # Named by its row: no name of the input becomes a path.
            name = f"{image.row:09}.png"
            (self._settings.maps / name).write_bytes(verdict.pictures.map)
            if verdict.pictures.overlay is not None:
                (self._settings.maps / f"{image.row:09}.overlay.png").write_bytes(verdict.pictures.overlay)
            row |= located(verdict, name)
        return row

    def _pictures(self, image: BulkImage, prepared: PreparedImage, judgement: Judgement) -> MapPictures:
        overlay = self._settings.overlay
        data = image.load().data if overlay is not None else b""
        return map_pictures(
            judgement.map,
            prepared,
            self._version,
            PictureOptions(overlay),
            data,
            self._settings.limits,
            judgement.group,
        )

    def _verdict(self, image: BulkImage, prepared: PreparedImage, judgement: Judgement) -> Verdict:
        return verdict_of(
            judgement.score,
            prepared,
            self._version,
            self._thresholds,
            index=image.row,
            name=image.path,
            times=StageTimes(),
            pictures=self._pictures(image, prepared, judgement) if self._settings.maps is not None else None,
            decided_by=judgement.decided_by,
            group=judgement.group,
        )
