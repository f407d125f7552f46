"""Writes the next version of an artifact, with the same head and another calibration, and says in it from what."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from models import atomic_file
from models.artifact import Artifact, ArtifactError, FeedbackRecord, RecalibrationRecord, load_artifact, write_artifact
from models.calibration.conformal import Calibration
from models.imaging.input_statistics import InputStatistics
from service.feedback.recalibration.record import Recalibration


def move_into_version(product: Path, version: str) -> None:
    """Make `product/version` of an artifact that lies in the product's own folder, so that there is room for others.

    The folder is exchanged whole; its files stay the same ones where the disk has links. Raises OSError, and nothing
    has changed then.
    """
    with atomic_file.replace_folder(product) as beside:
        shutil.copytree(product, beside / version, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copy2(source, target)


def write_version(old_folder: Path, record: Recalibration) -> Artifact:
    """The folder beside the old one, named `record.to_version`; whole or not at all.

    Raises ArtifactError, also where the old artifact is not that of the record any more.
    """
    assert record.to_version is not None
    assert record.content is not None
    assert record.result is not None
    old = load_artifact(old_folder)
    if old.sha256 != record.from_hash:
        raise ArtifactError(old_folder, "its files have changed since the proposal")
    parts = record.result["parts"]
    made = RecalibrationRecord(
        from_version=record.from_version,
        from_sha256=old.sha256,
        images=parts["used"],
        data_sha256=record.content["data_sha256"],
        feedback=FeedbackRecord(
            recalibration=record.id,
            proposed_by=record.by,
            applied_by=record.applied_by or record.by,
            since=record.content["since"],
            until=record.content["until"],
            inspected=parts["inspected"],
            confirmed=parts["confirmed"],
            held_back=parts["held_back"],
        ),
    )
    inputs = record.content["input_statistics"]
    manifest = old.manifest.model_copy(
        update={
            "version": record.to_version,
            "created_at": datetime.now(UTC).isoformat(),
            "calibration": Calibration.model_validate(record.content["calibration"]),
            "input_statistics": InputStatistics.model_validate(inputs) if inputs is not None else None,
            "recalibration": made,
        }
    )
    golden = [(old.path / one.file).read_bytes() for one in old.manifest.golden]
    return write_artifact(old_folder.parent / record.to_version, manifest, old.head, golden, old.regions)
