"""A folder of good images and settings in, a calibrated and verified artifact out: the whole training run.

folder -> split -> activations (source run once) -> fit -> calibrate -> verify -> artifact
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from models.artifact import Artifact, GoldenRecord, Manifest, SourceRecord, TrainingRecord, write_artifact
from models.backends.base import SourceBackend, SourceKey
from models.backends.pool import BackendName, SourcePool, source_key
from models.calibration.conformal import Calibration
from models.detector import Detector, Row
from models.heads.base import Batch, Head, to_device
from models.imaging.decode import Pixels, decode_image
from models.imaging.preprocess import Prepared, Preprocessing, prepare
from models.sources.registry import spec_of
from trainer.activations import DEFAULT_LIMIT_BYTES, SOURCE_BATCH, ActivationStore, bytes_per_image
from trainer.augment import variants
from trainer.calibrate import calibrated, calibration_words, judge_under
from trainer.config import TrainingSettings
from trainer.data import TrainingSet, prepared_images, read_pixels, read_training_set, split
from trainer.loop import Fit
from trainer.measure import measured_files

GOLDEN_SIDE = 512  # golden images are kept at most this large, to keep the artifact small
PACKAGES = ("mkdserve", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "ncnn")


class Display(Protocol):
    """Where a run tells what it does; the command line shows it, tests pass a silent one."""

    def say(self, text: str) -> None:
        """One line."""

    def bar(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """A progress bar for the time of a with statement."""


class Bar(Protocol):
    """A progress bar."""

    def update(self, done: int, note: str = "") -> None:
        """So much is done of the total."""


@dataclass(frozen=True)
class Job:
    """Where a run reads and writes, and on what. `version` names a subfolder of the product, or is empty."""

    data: Path
    product: str
    out: Path
    settings: TrainingSettings
    version: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    engine: BackendName = "auto"
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


def train(job: Job, display: Display) -> Artifact:
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
    pool = SourcePool(job.device, backend=job.engine, threads=job.threads, weights_file=job.weights_file)
    pool.require(source)
    engine, reason = pool.chosen(source)
    display.say(f"source {settings.source} in {source.precision} by engine {engine} on {job.device}: {reason}")
    kept = tuple(found.files[index] for index in held_out)
    head, losses = _fit(job, found, training, kept, preprocessing, pool, source, display)
    detector = Detector(job.device, pool)
    judged = judge_under(detector, head, source, kept, preprocessing, settings.calibrate_under)
    calibration = calibrated(judged, settings)
    golden_files = [found.files[held_out[index]] for index in _spread(judged.scores)]
    golden, records = _golden(golden_files, preprocessing, head, source, detector)
    manifest = _manifest(job, found, training, held_out, source, preprocessing, head, calibration, records, losses)
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
    job: Job,
    found: TrainingSet,
    training: Sequence[int],
    held_out: tuple[Path, ...],
    preprocessing: Preprocessing,
    pool: SourcePool,
    source: SourceKey,
    display: Display,
) -> tuple[Head, list[float]]:
    settings = job.settings
    copies = settings.augmentation.copies
    count = len(training) * copies
    if settings.augmentation.varies:
        size = count * bytes_per_image(settings.image_size) / 2**30
        display.say(
            f"augmentation makes {copies} variants of each image once: the source runs over {count} images "
            f"instead of {len(training)} and the cache takes {size:.1f} GiB"
        )
    files = tuple(found.files[index] for index in training)
    store = ActivationStore(
        count, settings.image_size, pool[source], folder=job.work, limit_bytes=job.cache_limit_bytes
    )
    with store:
        if not store.cached:
            display.say("the activations do not fit the cache limit: the source runs again for every step (slow)")
        with display.bar("source activations", count) as bar:
            store.fill(_augmented(files, preprocessing, settings), bar.update)
        fit = Fit.begin(
            *(settings, store, range(count), job.device),
            checkpoint=job.work / "checkpoint.safetensors",
            fingerprint=_fingerprint(settings, found.sha256, source),
        )
        if fit.resume():
            display.say(f"going on from the checkpoint at step {fit.step}")
        with display.bar("training", settings.steps) as bar:
            fit.run(lambda progress: bar.update(progress.step, f"loss {progress.loss:.4f}"))
        return fit.head(_batches(held_out, preprocessing, pool[source], job.device)), fit.losses


def _batches(
    files: tuple[Path, ...], preprocessing: Preprocessing, engine: SourceBackend, device: torch.device
) -> Iterator[Batch]:
    """Those images with their activations, as the training images come from the store."""
    images = prepared_images(files, preprocessing)
    while batch := list(islice(images, SOURCE_BATCH)):
        stacked = torch.from_numpy(np.stack(batch)).to(device)
        yield stacked, engine.activations(stacked)


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


def _golden(
    files: Sequence[Path], preprocessing: Preprocessing, head: Head, source: SourceKey, detector: Detector
) -> tuple[list[bytes], list[GoldenRecord]]:
    pictures = [_small_png(read_pixels(file)) for file in files]
    rows = [Row(prepare(decode_image(data), preprocessing), head, source, True) for data in pictures]
    records = []
    for number, judgement in enumerate(detector.judge(rows)):
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
    job: Job,
    found: TrainingSet,
    training: Sequence[int],
    held_out: Sequence[int],
    source: SourceKey,
    preprocessing: Preprocessing,
    head: Head,
    calibration: Calibration,
    golden: Sequence[GoldenRecord],
    losses: Sequence[float],
) -> Manifest:
    # SOURCE_DATE_EPOCH makes the whole artifact repeatable, as reproducible-builds.org defines it.
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    created = datetime.fromtimestamp(stamp, UTC)
    last = losses[-100:]
    return Manifest(
        product=job.product,
        version=job.version or created.strftime("%Y%m%d-%H%M%S"),
        method=head.method,
        created_at=created.isoformat(),
        source=SourceRecord(
            weights=source.source,
            sha256=source.sha256,
            normalisation=source.normalisation,
            precision=source.precision,
            licence=spec_of(source.source).licence,
        ),
        preprocessing=preprocessing,
        head=head.config.model_dump(mode="json"),
        calibration=calibration,
        input_statistics=measured_files([found.files[index] for index in held_out], preprocessing),
        training=TrainingRecord(
            settings=job.settings.model_dump(mode="json"),
            images_trained=len(training),
            images_held_out=len(held_out),
            images_unreadable=tuple(file.name for file, _ in found.unreadable),
            data_sha256=found.sha256,
            outcome={"loss_first": losses[0], "loss_last_100_mean": sum(last) / len(last)},
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
