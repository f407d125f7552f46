"""The whole training run: a folder of good images and settings in, a calibrated and verified artifact out.

folder -> split -> activations (source run once) -> Method.fit -> calibrate -> verify -> artifact
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import torch

from models.artifact import Artifact, GoldenRecord, Manifest, SourceRecord, TrainingRecord, write_artifact
from models.backends.base import SourceKey
from models.backends.pool import BackendName, SourcePool, source_key
from models.calibration.conformal import Calibration
from models.calibration.recalibration import calibrated, calibration_words
from models.detector import Detector
from models.heads.base import Head, to_device
from models.heads.registry import method_of
from models.image_judge import ImageJudge
from models.imaging.decode import Pixels, decode_image
from models.imaging.preprocess import Prepared, Preprocessing
from models.sources.registry import spec_of
from trainer.activations import DEFAULT_LIMIT_BYTES, ActivationStore, bytes_per_image
from trainer.augment import variants
from trainer.calibrate import judge_under
from trainer.config import TrainingSettings
from trainer.data import TrainingSet, prepared_images, read_pixels, read_training_set, split
from trainer.fit_run import Display, TrainingRun
from trainer.good_parts import StoredParts
from trainer.measure import measured_files

GOLDEN_SIDE = 512  # golden images are kept at most this large, to keep the artifact small
PACKAGES = ("mkdserve", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "ncnn")


@dataclass(frozen=True)
class TrainingJob:
    """Where a run reads and writes, and on what. `version` names a subfolder of the product, or is empty."""

    data: Path
    product: str
    out: Path
    settings: TrainingSettings
    version: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    backend: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None
    cache_limit_bytes: int = DEFAULT_LIMIT_BYTES

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return self.out / self.product / self.version if self.version else self.out / self.product

    @property
    def work(self) -> Path:
        """Cache and checkpoint, on the disk that the artifact goes to; removed when the artifact is written."""
        return self.out / ".work" / self.product


def train(job: TrainingJob, display: Display) -> Artifact:
    """Runs the whole path. Raises DataError, SourceWeightsError, ActivationError or ArtifactError in clear words.

    KeyboardInterrupt leaves a checkpoint that the same call goes on from.
    """
    started = time.monotonic()
    settings = job.settings
    found = read_training_set(job.data)
    _tell_about(found, display)
    preprocessing = settings.preprocessing(found.sixteen_bit_white)
    training, held_out = split(len(found.files), settings.hold_out, settings.seed)
    display.say(f"{len(training)} images to train on, {len(held_out)} held out for calibration only")
    source = source_key(settings.source, settings.normalisation, job.weights_file, settings.source_precision)
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    pool.require(source)
    backend, reason = pool.chosen(source)
    display.say(f"source {settings.source} in {source.precision} by backend {backend} on {job.device}: {reason}")
    head, notes = _fit(job, found, training, preprocessing, pool, source, display)
    judge = ImageJudge(head, source, preprocessing)
    detector = Detector(job.device, pool)
    kept = tuple(found.files[index] for index in held_out)
    judged = judge_under(detector, judge, kept, settings.calibrate_under)
    calibration = calibrated(judged, settings)
    golden, records = _golden([kept[index] for index in _spread(judged.scores)], judge, detector)
    manifest = _manifest(job, found, training, held_out, judge, calibration, records, notes)
    artifact = write_artifact(job.path, manifest, head, golden)
    to_device(artifact.head, job.device)
    artifact.verify_golden(detector)
    _remove_work(job.work)
    for line in calibration_words(calibration):
        display.say(line)
    display.say(f"{artifact.path}: {artifact.sha256[:12]}, made in {time.monotonic() - started:.0f} s")
    return artifact


def _tell_about(found: TrainingSet, display: Display) -> None:
    display.say(f"{len(found.files)} images of good parts")
    for file, reason in found.unreadable[:10]:
        display.say(f"left out, unreadable: {file.name}: {reason}")
    if len(found.unreadable) > 10:
        display.say(f"left out, unreadable: {len(found.unreadable) - 10} more")
    if found.duplicates:
        display.say(f"left out: {len(found.duplicates)} exact copies of other images ({found.duplicates[0].name}, ...)")
    if found.size_warning:
        display.say(f"beware: {found.size_warning}")


def _fit(
    job: TrainingJob,
    found: TrainingSet,
    training: Sequence[int],
    preprocessing: Preprocessing,
    pool: SourcePool,
    source: SourceKey,
    display: Display,
) -> tuple[Head, dict[str, object]]:
    """The fitted head, frozen and on the device, and what the method has noted."""
    settings, spec = job.settings, spec_of(source.source)
    method = method_of(settings.method.method)
    taps = method.needs(settings.method, spec).taps
    copies = settings.augmentation.copies
    count = len(training) * copies
    if settings.augmentation.varies:
        size = count * bytes_per_image(settings.image_size, spec, taps) / 2**30
        display.say(
            f"augmentation makes {copies} variants of each image once: the source runs over {count} images "
            f"instead of {len(training)} and the cache takes {size:.1f} GiB"
        )
    files = tuple(found.files[index] for index in training)
    with ExitStack() as opened:
        store = opened.enter_context(
            ActivationStore(
                *(count, settings.image_size, pool[source], spec, taps),
                folder=job.work,
                limit_bytes=job.cache_limit_bytes,
            )
        )
        if not store.cached:
            display.say("the activations do not fit the cache limit: the source runs again for every step (slow)")
        with display.bar("source activations", count) as bar:
            store.fill(_augmented(files, preprocessing, settings), bar.update)
        fingerprint = _fingerprint(settings, found.sha256, source)
        run = TrainingRun(job.device, settings.seed, display, job.work, fingerprint)
        head = method.fit(settings.method, StoredParts(store, range(count), job.device, opened), run)
        return to_device(head, job.device), run.notes


def _augmented(files: tuple[Path, ...], preprocessing: Preprocessing, settings: TrainingSettings) -> Iterator[Prepared]:
    images = prepared_images(files, preprocessing)
    return chain.from_iterable(
        variants(image, settings.augmentation, (settings.seed, number)) for number, image in enumerate(images)
    )


def _fingerprint(settings: TrainingSettings, data: str, source: SourceKey) -> str:
    return hashlib.sha256(f"{settings.model_dump_json()} {data} {source}".encode()).hexdigest()


def _spread(scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[int]:
    """The places of the lowest, the middle and the highest score."""
    order = np.argsort(scores, kind="stable")
    return list(dict.fromkeys(int(order[place]) for place in (0, len(order) // 2, len(order) - 1)))


def _golden(files: Sequence[Path], judge: ImageJudge, detector: Detector) -> tuple[list[bytes], list[GoldenRecord]]:
    pictures = [_small_png(read_pixels(file)) for file in files]
    prepared = [judge.prepare(decode_image(data)) for data in pictures]
    records = []
    for number, judgement in enumerate(judge.judge_all(detector, prepared, wants_map=True)):
        assert judgement.map is not None
        records.append(
            GoldenRecord(file=f"golden/{number:03}.png", score=judgement.score, map_peak=float(judgement.map.max()))
        )
    return pictures, records


def _small_png(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    shrink = GOLDEN_SIDE / max(height, width)
    if shrink < 1:
        size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return encoded.tobytes()


def _manifest(
    job: TrainingJob,
    found: TrainingSet,
    training: Sequence[int],
    held_out: Sequence[int],
    judge: ImageJudge,
    calibration: Calibration,
    golden: Sequence[GoldenRecord],
    notes: dict[str, object],
) -> Manifest:
    # SOURCE_DATE_EPOCH makes the whole artifact repeatable, as reproducible-builds.org defines it.
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    created = datetime.fromtimestamp(stamp, UTC)
    source = judge.source
    return Manifest(
        product=job.product,
        version=job.version or created.strftime("%Y%m%d-%H%M%S"),
        method=judge.head.method,
        created_at=created.isoformat(),
        source=SourceRecord(
            name=source.source,
            sha256=source.sha256,
            normalisation=source.normalisation,
            precision=source.precision,
            licence=spec_of(source.source).licence,
        ),
        preprocessing=judge.preprocessing,
        head=judge.head.record.model_dump(mode="json"),
        calibration=calibration,
        input_statistics=measured_files([found.files[index] for index in held_out], judge.preprocessing),
        training=TrainingRecord(
            settings=job.settings.model_dump(mode="json"),
            images_trained=len(training),
            images_held_out=len(held_out),
            images_unreadable=tuple(file.name for file, _ in found.unreadable),
            data_sha256=found.sha256,
            outcome=notes,
        ),
        golden=tuple(golden),
        packages={name: version for name in PACKAGES if (version := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _remove_work(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)  # also what a run that was killed has left there
    with contextlib.suppress(OSError):  # another product's run may be at work beside it
        work.parent.rmdir()
