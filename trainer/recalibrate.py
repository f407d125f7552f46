"""Gives an artifact a new calibration from new good images, with the same head.

For a new lot, lens or lamp that moved the scores of good parts a little. The head's tensors, golden images and their
scores stay as they are; thresholds, map scale and what can be promised are new, and the manifest says from what.
Another mask of what is looked at comes the same way: it changes the scores, so it is never without a calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from models.artifact import (
    Artifact,
    GoldenRecord,
    RecalibrationRecord,
    golden_tolerance,
    load_artifact,
    regions_record,
    write_artifact,
)
from models.backends.base import SourceBackend
from models.backends.choice import BackendName
from models.backends.pool import SourcePool
from models.calibration.conformal import Calibration
from models.calibration.recalibration import (
    ScoresAndMaps,
    calibrated,
    calibration_words,
    rates_of,
    rejected_before,
)
from models.detector import Detector
from models.heads.base import to_device
from models.image_folder import NAMED, passed_over_words
from models.image_judge import ImageJudge
from models.imaging.channels import group_pictures
from models.imaging.decode import ImageError
from models.imaging.levels import LevelRange, check_levels
from models.imaging.picture_views import PictureViews
from models.imaging.regions import Regions
from models.sources.registry import spec_of
from trainer.calibrate import judge_under
from trainer.data import DataError, prepared_images, read_pixels
from trainer.data_checks.near_duplicates import Labels, groups_by_name, independent_count, near_duplicate_groups
from trainer.data_checks.result import CheckResult
from trainer.fit_run import Display
from trainer.golden import GoldenPictures, check_golden_defect, golden_pictures
from trainer.measure import levels_inside, measured_files
from trainer.parts_split import features_of, group_taps, of_pictures, worst_of_groups
from trainer.perturb import Change
from trainer.stamp import stamp
from trainer.training_set import TrainingSet, read_training_set


@dataclass(frozen=True)
class NewRates:
    """False-reject rates of the new calibration; None keeps the artifact's."""

    review_rate: float | None = None
    ng_rate: float | None = None
    map_rate: float | None = None
    tail_fit: bool = False
    under: tuple[Change, ...] = ()


@dataclass(frozen=True)
class NewMask:
    """The regions that the artifact shall have from now on; None for all of the picture."""

    regions: Regions | None


@dataclass(frozen=True)
class Recalibration:
    """What is done: `path` is the new artifact's folder, `version` its name or empty for one made of the time."""

    artifact: Path
    data: Path
    path: Path
    version: str
    rates: NewRates
    accept_shift: bool
    device: torch.device
    backend: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None
    new_mask: NewMask | None = None


def recalibrate(job: Recalibration, display: Display) -> Artifact:
    """Judges the new images by the old network and writes the new artifact.

    Raises ArtifactError, DataError or SourceWeightsError; DataError too where the images are those that the network was
    trained on, or where most of them are rejected as they are now and `accept_shift` is not given: then they are
    likely to be of another product, or the network must learn them.
    """
    old = load_artifact(job.artifact)
    found = read_training_set(job.data, groups=old.preprocessing.groups)
    found = _unseen(old, found, of_training=job.new_mask is not None)
    regions = old.regions if job.new_mask is None else job.new_mask.regions
    for file, reason in found.unreadable:
        display.say(f"left out, unreadable: {file.name}: {reason}")
    for line in passed_over_words(found.passed_over):
        display.say(line)
    for words in found.warnings(old.preprocessing):
        display.say(f"beware: {words}")
    levels = _joined_levels(old, found, regions, accepted=job.accept_shift)
    judge = replace(old.judge, levels=None, regions=regions)  # levels were looked at here
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    pool.require(old.source, old.workload)
    detector = Detector(job.device, pool)
    to_device(old.head, job.device)
    old.verify_golden(detector)
    plain = judged = judge_under(detector, judge, found.files)
    if job.new_mask is None:  # the scores under another mask are of another kind
        _check_shift(old.calibration, judged, display, accepted=job.accept_shift)
    if job.rates.under:
        judged = judge_under(detector, judge, found.files, job.rates.under)
    labels = _scenes(old, found, judge.views, pool[old.source], display)
    judged = worst_of_groups(judged, labels)
    new = job.rates
    rates = rates_of(
        old.calibration,
        review_rate=new.review_rate,
        ng_rate=new.ng_rate,
        map_rate=new.map_rate,
        tail_fit=new.tail_fit,
    )
    calibration = calibrated(judged, rates)
    golden = _golden(job, old, found, judge, plain, detector)
    if job.new_mask is not None:
        _check_sight(old, golden.records, calibration)
    kept = _Kept(labels, calibration, levels, regions, golden)
    artifact = _written(job, old, found, kept)
    to_device(artifact.head, job.device)
    artifact.verify_golden(detector)
    for line in calibration_words(calibration):
        display.say(line)
    display.say(f"{artifact.path}: {artifact.sha256[:12]}, recalibrated from {old.sha256[:12]}")
    return artifact


class _Kept(NamedTuple):
    """What the new artifact has that the old one may not have."""

    labels: Labels
    calibration: Calibration
    levels: LevelRange | None
    regions: Regions | None
    golden: GoldenPictures


def _unseen(old: Artifact, found: TrainingSet, *, of_training: bool) -> TrainingSet:
    """The set as it is: none of its pictures was trained on.

    Of the training set itself, those pictures that were held out then, where `of_training` allows it.
    """
    training = old.manifest.training
    held_out = set(training.held_out)
    if found.sha256 == training.data_sha256:
        if of_training and training.folds is not None:
            raise DataError(
                f"the artifact was trained on all of these images, and calibrated with them by {training.folds} folds: "
                "take good parts that it has not seen, or train again with the mask"
            )
        if of_training and held_out:
            return found.subset([number for number, digest in enumerate(found.hashes) if digest in held_out])
        raise DataError(
            "these are the images that the artifact was trained on: their scores are too low to calibrate with; "
            "take good parts that it has not seen"
        )
    trained = set(training.trained)
    seen = [name for name, digest in zip(found.names, found.hashes, strict=True) if digest in trained]
    if seen:
        raise DataError(
            f"the artifact was trained on {len(seen)} of these {len(found.files)} images ({', '.join(seen[:NAMED])}"
            f"{', ...' if len(seen) > NAMED else ''}): their scores are too low to calibrate with; take them out"
        )
    return found


def _scenes(old: Artifact, found: TrainingSet, views: PictureViews, backend: SourceBackend, display: Display) -> Labels:
    """(n,) group numbers of the new images. Raises DataError where fewer than two scenes are among them."""
    with display.bar("looking for near-duplicates", len(found.files) * views.count) as bar:
        images = prepared_images(found.files, views)
        of_views = features_of(images, backend, group_taps(spec_of(old.source.source)), bar)
    labels = near_duplicate_groups(of_pictures(of_views, views.count))
    scenes = independent_count(labels)
    if scenes < 2:
        raise DataError(
            f"the {len(labels)} images show one scene again and again: nothing in them says how good parts differ; "
            "take pictures of more parts"
        )
    if scenes < len(labels):
        display.say(
            f"beware: near-duplicates: the {len(labels)} images are of {scenes} scenes, each of which counts once"
        )
    return labels


def _golden(
    job: Recalibration, old: Artifact, found: TrainingSet, judge: ImageJudge, judged: ScoresAndMaps, detector: Detector
) -> GoldenPictures:
    """The old ones, or under another mask new ones, as the scores are others."""
    if job.new_mask is None:
        records = list(old.manifest.golden)
        files = [(old.path / one.file).read_bytes() for one in records]
        return GoldenPictures(files, records, CheckResult(False, ()))
    return golden_pictures(found.files, judged.scores, judge, detector, seed=0)


def _check_sight(old: Artifact, golden: Sequence[GoldenRecord], calibration: Calibration) -> None:
    """Raises DataError where no painted defect is seen, unless that is so of the old artifact and accepted."""
    checked = check_golden_defect(golden, golden_tolerance(calibration))
    if old.manifest.degenerate is None and any(one.defect for one in old.manifest.golden) and checked.degenerate:
        raise DataError(f"{'; '.join(checked.words)}: is the right part of the picture looked at?")


def _joined_levels(old: Artifact, found: TrainingSet, regions: Regions | None, *, accepted: bool) -> LevelRange | None:
    """The levels of old and new pictures together; None where the artifact has none."""
    known = old.manifest.levels
    if known is None:
        return None
    white = old.preprocessing.sixteen_bit_white
    if not accepted:
        for file in found.files:
            try:
                pixels = read_pixels(file, found.groups)
                for picture in group_pictures(pixels if regions is None else regions.filled(pixels), found.groups):
                    check_levels(picture, white, known)
            except ImageError as error:
                raise DataError(f"{file.name}: {error}; if that is meant, give --accept-shift") from error
    return known.joined(levels_inside(found, white, regions))


def _check_shift(old: Calibration, judged: ScoresAndMaps, display: Display, *, accepted: bool) -> None:
    above = rejected_before(old, judged)
    words = f"{above} of {len(judged.scores)} new good images are NG by the old calibration"
    if 2 * above > len(judged.scores) and not accepted:
        raise DataError(
            f"{words}: are they of this product, and good? A new calibration would pass defects that look like them; "
            "train with them instead, or give --accept-shift"
        )
    display.say(words)


def _written(job: Recalibration, old: Artifact, found: TrainingSet, kept: _Kept) -> Artifact:
    created = stamp()
    record = RecalibrationRecord(
        from_version=old.manifest.version,
        from_sha256=old.sha256,
        images=len(found.files),
        independent=independent_count(kept.labels),
        groups=groups_by_name(kept.labels, found.names),
        images_unreadable=tuple(file.name for file, _ in found.unreadable),
        passed_over=found.passed_over_record,
        data_sha256=found.sha256,
        under=job.rates.under,
    )
    manifest = old.manifest.model_copy(
        update={
            "version": job.version or created.strftime("%Y%m%d-%H%M%S"),
            "created_at": created.isoformat(),
            "calibration": kept.calibration,
            "input_statistics": measured_files(list(found.files), PictureViews(old.preprocessing, kept.regions)),
            "levels": kept.levels,
            "regions": regions_record(kept.regions),
            "golden": tuple(kept.golden.records),
            "recalibration": record,
        }
    )
    return write_artifact(job.path, manifest, old.head, kept.golden.files, kept.regions)
