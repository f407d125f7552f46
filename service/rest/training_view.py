"""How the routes show a training: its record, what its log tells, and what its artifact promises."""

from __future__ import annotations

from pathlib import Path

from models.artifact import MANIFEST, Manifest
from service.rest.product_view import rated
from service.rest.training_schemas import ProgressSchema, RefusedPictureSchema, TrainedArtifact, Training
from service.trainings.folder import TrainingFolder, progress_of
from service.trainings.record import TrainingRecord


def shown(record: TrainingRecord, folder: TrainingFolder) -> Training:
    """A training as its callers see it."""
    lines = folder.tail()
    progress = progress_of(lines) if record.state == "running" else None
    return Training(
        **record.model_dump(exclude={"refused"}),
        refused=[RefusedPictureSchema(**each.model_dump()) for each in record.refused],
        progress=ProgressSchema(**vars(progress)) if progress is not None else None,
        log=lines,
        artifact=artifact_of(folder.artifact(record)) if record.state == "ready" else None,
    )


def artifact_of(path: Path) -> TrainedArtifact | None:
    """What the artifact in this folder says of itself; None where it cannot be read, which its activation will tell."""
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    thresholds = manifest.calibration.thresholds()
    return TrainedArtifact(
        method=manifest.method,
        image_size=manifest.preprocessing.image_size,
        images_trained=manifest.training.images_trained,
        images_held_out=manifest.training.images_held_out,
        folds=manifest.training.folds,
        smallest_false_reject=manifest.calibration.smallest_rate,
        threshold=rated(thresholds.ng),
        review_threshold=rated(thresholds.review) if thresholds.review is not None else None,
        doubts=list(manifest.degenerate.reasons) if manifest.degenerate is not None else [],
    )
