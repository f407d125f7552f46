"""The whole training run: a folder of good images and settings in, a calibrated and verified artifact out.

folder -> split -> activations (source run once) -> Method.fit -> calibrate -> verify -> artifact

By folds the method is first fitted to all folds but one, for each of them, and these heads calibrate.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Protocol

import torch
from filelock import FileLock, Timeout

from models.artifact import (
    MANIFEST,
    Artifact,
    DegenerateRecord,
    GoldenRecord,
    Manifest,
    SourceRecord,
    TrainingRecord,
    golden_tolerance,
    regions_record,
    write_artifact,
)
from models.backends.choice import BackendName
from models.backends.pool import SourcePool, source_key
from models.calibration.conformal import Calibration
from models.calibration.recalibration import calibrated, calibration_words
from models.detector import Detector
from models.heads.base import Head, to_device
from models.image_folder import passed_over_words
from models.image_judge import ImageJudge
from models.imaging.channels import group_words
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions
from models.sources.registry import spec_of
from trainer.activations import DEFAULT_LIMIT_BYTES
from trainer.config import TrainingSettings
from trainer.data import DataError
from trainer.data_checks.pictures import check_pictures
from trainer.data_checks.scores import check_scores
from trainer.doubts import Doubts
from trainer.few_images import folds_words
from trainer.fit_run import Display
from trainer.fitting import Fitting
from trainer.golden import check_golden_defect, judged_again
from trainer.measure import levels_inside, measured_files
from trainer.parts_split import PartsSplit
from trainer.stamp import stamp
from trainer.training_set import TrainingSet, read_training_set
from trainer.unseen import UnseenPictures

PACKAGES = ("mkdserve", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "ncnn")
SIZES_SHOWN = 3
CHOSEN_BY_PICTURES = frozenset({"auto", "tile_heads"})  # choices by painted defects (trainer.advise)
CHOSEN_WORDS = (
    "beware: this was chosen by some of the pictures that calibrate by folds, which may favour it a little; name it, "
    "or take --calibrate-by held-out, where the promise is to rest on pictures that took no part in the choice"
)


class MethodChooser(Protocol):
    """Chooses what a fit leaves open (trainer.advise)."""

    def __call__(
        self, job: TrainingJob, found: TrainingSet, display: Display
    ) -> tuple[TrainingSettings, dict[str, object]]:
        """The settings to fit with, and what the manifest says of the choice."""
        ...


class Expected(Protocol):
    """What a fit was expected to take (trainer.forecast)."""

    def compared(self, seconds: float) -> str:
        """A line of it beside what the fit has taken."""
        ...


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
    subfolders: bool = False
    accept_degenerate: bool = False
    chooser: MethodChooser | None = None
    forecast: Callable[[Fitting], Expected | None] | None = None
    regions: Regions | None = None

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return self.out / self.product / self.version if self.version else self.out / self.product

    @property
    def work(self) -> Path:
        """Cache and checkpoint, on the disk that the artifact goes to; removed when the artifact is written."""
        return self.out / ".work" / self.product


def train(job: TrainingJob, display: Display) -> Artifact:
    """Runs the whole path. Raises DataError where another training of the product is at work in the same folder; and
    all that `_train` raises.
    """
    with _alone(job):
        return _train(job, display)


def _train(job: TrainingJob, display: Display) -> Artifact:
    """Raises DataError, SourceWeightsError, ActivationError or ArtifactError in clear words.

    DataError, too, for a training set or a head that teaches or sees nothing, unless the job accepts that.
    KeyboardInterrupt leaves a checkpoint that the same call goes on from.
    """
    started = time.monotonic()
    settings = job.settings
    found = read_training_set(job.data, subfolders=job.subfolders, groups=settings.groups)
    preprocessing = settings.preprocessing(found.sixteen_bit_white, found.sizes, found.groups)
    views = PictureViews(preprocessing, job.regions)
    _tell_about(found, preprocessing, display)
    doubts = Doubts(display, accepted=job.accept_degenerate)
    doubts.heed(check_pictures(found.facts(preprocessing.sixteen_bit_white), found.names))
    chosen: dict[str, object] = {}
    if job.chooser is not None:
        settings, chosen = job.chooser(job, found, display)
        if settings.calibrate_by == "folds" and CHOSEN_BY_PICTURES & chosen.keys():
            display.say(CHOSEN_WORDS)
        job = replace(job, settings=settings)
        preprocessing = settings.preprocessing(found.sixteen_bit_white, found.sizes, found.groups)
        views = PictureViews(preprocessing, job.regions)
    source = source_key(settings.source, settings.normalisation, job.weights_file, settings.source_precision)
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    pool.require(source)
    for name, backend in pool.chosen().items():
        display.say(f"source {name} on {job.device} by backend {backend}")
    fitting = Fitting(
        *(found, settings, views, pool[source], source, job.device, job.work),
        cache_limit_bytes=job.cache_limit_bytes,
        display=display,
    )
    expected = job.forecast(fitting) if job.forecast is not None else None
    begun = time.monotonic()
    levels = levels_inside(found, preprocessing.sixteen_bit_white, job.regions)

    def judge_of(head: Head) -> ImageJudge:
        return ImageJudge(head, source, preprocessing, levels, job.regions)

    detector = Detector(job.device, pool)
    unseen = UnseenPictures(found, settings, judge_of, detector)
    head, notes, split = fitting.fit(unseen.judge)
    judge = judge_of(head)
    if not split.folds:
        unseen.judge(head, split.held_out)
    counted = unseen.counted(split)
    doubts.heed(check_scores(counted.scores))
    calibration = calibrated(counted, settings, len(split.folds) or None)
    golden, tolerance = unseen.golden, golden_tolerance(calibration)
    doubts.heed(golden.separation)
    doubts.heed(check_golden_defect(golden.records, tolerance))
    if split.folds:
        golden = judged_again(golden, judge, detector)
        doubts.heed(check_golden_defect(golden.records, tolerance))
    notes |= chosen
    manifest = _manifest(job, found, split, judge, calibration, golden.records, notes, doubts.record)
    if (job.path / MANIFEST).exists():
        display.say(f"{job.path} holds an artifact already, which this one replaces; --version keeps both")
    artifact = write_artifact(job.path, manifest, head, golden.files, job.regions)
    to_device(artifact.head, job.device)
    artifact.verify_golden(detector)
    _remove_work(job.work)
    for line in calibration_words(calibration):
        display.say(line)
    if (words := folds_words(manifest)) is not None:
        display.say(f"more good images would help, or {words}")
    if manifest.degenerate is not None:
        display.say(
            f"DEGENERATE: {len(manifest.degenerate.reasons)} reasons (above) against any verdict by this artifact; "
            "/products and the service's log repeat them"
        )
    if expected is not None:
        display.say(expected.compared(time.monotonic() - begun))
    display.say(f"{artifact.path}: {artifact.sha256[:12]}, made in {time.monotonic() - started:.0f} s")
    return artifact


def _tell_about(found: TrainingSet, preprocessing: Preprocessing, display: Display) -> None:
    display.say(f"{len(found.files)} images of good parts, {_sizes_words(found)}")
    if found.groups:
        display.say(f"{len(found.groups)} groups of channels, each with a head of its own: {group_words(found.groups)}")
    for file, reason in found.unreadable[:10]:
        display.say(f"left out, unreadable: {file.name}: {reason}")
    if len(found.unreadable) > 10:
        display.say(f"left out, unreadable: {len(found.unreadable) - 10} more")
    if found.duplicates:
        display.say(f"left out: {len(found.duplicates)} exact copies of other images ({found.duplicates[0].name}, ...)")
    for line in passed_over_words(found.passed_over):
        display.say(line)
    for words in found.warnings(preprocessing):
        display.say(f"beware: {words}")


def _sizes_words(found: TrainingSet) -> str:
    counted = Counter(one.size for one in found.looked).most_common()
    listed = [f"{width} x {height}" + (f" ({count})" if len(counted) > 1 else "") for (width, height), count in counted]
    more = f" and {len(listed) - SIZES_SHOWN} more sizes" if len(listed) > SIZES_SHOWN else ""
    return f"{', '.join(listed[:SIZES_SHOWN])}{more} pixels"


def _manifest(
    job: TrainingJob,
    found: TrainingSet,
    split: PartsSplit,
    judge: ImageJudge,
    calibration: Calibration,
    golden: Sequence[GoldenRecord],
    notes: dict[str, object],
    degenerate: DegenerateRecord | None,
) -> Manifest:
    created = stamp()
    source = judge.source
    return Manifest(
        product=job.product,
        version=job.version or created.strftime("%Y%m%d-%H%M%S"),
        method=job.settings.method.method,
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
        input_statistics=measured_files(
            [found.files[index] for index in (split.training if split.folds else split.held_out)], judge.views
        ),
        training=TrainingRecord(
            settings=job.settings.model_dump(mode="json"),
            images_trained=len(split.training),
            images_held_out=len(split.held_out),
            images_unreadable=tuple(file.name for file, _ in found.unreadable),
            independent_trained=split.independent_trained if split.grouped else None,
            independent_held_out=split.independent_held_out if split.grouped else None,
            groups=split.groups(found.names),
            trained=tuple(found.hashes[index] for index in split.training),
            held_out=tuple(found.hashes[index] for index in split.held_out),
            passed_over=found.passed_over_record,
            subfolders=job.subfolders,
            data_sha256=found.sha256,
            outcome=notes,
            folds=len(split.folds) or None,
        ),
        levels=judge.levels,
        regions=regions_record(judge.regions),
        golden=tuple(golden),
        degenerate=degenerate,
        packages={name: version for name in PACKAGES if (version := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@contextlib.contextmanager
def _alone(job: TrainingJob) -> Iterator[None]:
    """The work folder for this run alone; raises DataError where another run has it."""
    began_empty = not job.out.exists()
    folder = job.work.parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{job.product}.lock", timeout=0)
    try:
        with lock:
            try:
                yield
            finally:
                Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        raise DataError(
            f"another training of {job.product} is at work in {job.work}: wait for it, or name another folder by --out"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # what is not empty stays
            folder.rmdir()
            if began_empty:
                job.out.rmdir()


def _remove_work(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)  # also what a run that was killed has left there
    with contextlib.suppress(OSError):  # another product's run may be at work beside it
        work.parent.rmdir()
