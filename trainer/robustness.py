"""Measures false rejects and misses of an artifact under small changes of light, focus and place.

The thresholds stay as they are: what is measured is what a line would see on a day that differs a little from those in
the training pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.artifact import Artifact, TrainingRecord, load_artifact
from models.backends.choice import BackendName
from models.backends.pool import SourcePool
from models.calibration.conformal import Calibration, Thresholds
from models.calibration.recalibration import calibrated, rates_of
from models.detector import Detector
from models.heads.base import to_device
from models.imaging.channels import changed_groups
from models.imaging.decode import Pixels
from trainer.calibrate import judge_under
from trainer.data import DataError, read_pixels, split
from trainer.figures import Floats, read_truth
from trainer.fit_run import Display
from trainer.labelled import read_labelled_set
from trainer.metrics import auroc, rate
from trainer.parts_split import worst_of_groups
from trainer.perturb import PERTURBATIONS, Change
from trainer.training_set import TrainingSet, read_training_set


@dataclass(frozen=True)
class Robustness:
    """What is measured. `calibrate_under` adds a table by thresholds from held-out images that were changed so."""

    artifact: Path
    data: Path
    out: Path | None
    calibrate_under: tuple[Change, ...]
    device: torch.device
    backend: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None


def measure_robustness(job: Robustness, display: Display) -> Path:
    """Writes robustness.json and robustness.md; returns the path of the latter. Raises as `trainer.evaluate` does."""
    artifact = load_artifact(job.artifact)
    groups = artifact.preprocessing.groups
    labelled = read_labelled_set(job.data, groups)
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    pool.require(artifact.source, artifact.workload)
    to_device(artifact.head, job.device)
    detector = Detector(job.device, pool)
    artifact.verify_golden(detector)
    calibrations = {"as it is": artifact.calibration}
    if job.calibrate_under:
        name = f"calibrated under {', '.join(job.calibrate_under)}"
        calibrations[name] = _calibrated_under(job, artifact, detector)
    truth = read_truth(labelled, artifact.judge.views)
    pictures = [read_pixels(image.file, groups) for image in truth.images]
    scores = {"none": _scores(artifact, detector, pictures)}
    with display.bar("perturbations", len(PERTURBATIONS)) as bar:
        for name, (_, perturb) in PERTURBATIONS.items():
            changed = (changed_groups(pixels, groups, perturb) for pixels in pictures)
            scores[name] = _scores(artifact, detector, changed)
            bar.update(len(scores) - 1, name)
    tables = {
        name: [_row(change, found, truth.anomalous, calibration.thresholds()) for change, found in scores.items()]
        for name, calibration in calibrations.items()
    }
    folder = job.out or Path("reports") / artifact.manifest.product
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "robustness.json").write_text(json.dumps(tables, indent=1) + "\n")
    page = folder / "robustness.md"
    page.write_text("\n\n".join(_markdown(artifact, name, rows) for name, rows in tables.items()) + "\n")
    return page


def _calibrated_under(job: Robustness, artifact: Artifact, detector: Detector) -> Calibration:
    """From the images that the trainer held out, near-duplicates counted once as it did."""
    training = artifact.manifest.training
    if training.folds is not None:
        raise DataError(
            f"the artifact was calibrated by {training.folds} folds, so it has seen all images of its training: leave "
            "--calibrate-under out here, or train again with --calibrate-under"
        )
    found = read_training_set(job.data, subfolders=training.subfolders, groups=artifact.preprocessing.groups)
    if found.sha256 != training.data_sha256:
        raise DataError(f"{job.data} does not hold the images that the artifact was trained on and calibrated with")
    held_out = _held_out(found, training)
    judged = judge_under(detector, artifact.judge, [found.files[index] for index in held_out], job.calibrate_under)
    group = {name: number for number, names in enumerate(training.groups) for name in names}
    alone = len(training.groups)
    labels = np.array([group.get(found.names[index], alone + index) for index in held_out])
    return calibrated(worst_of_groups(judged, labels), rates_of(artifact.calibration))


def _held_out(found: TrainingSet, training: TrainingRecord) -> list[int]:
    """By the files' hashes; artifacts of before these were kept were split at random."""
    if training.held_out:
        known = set(training.held_out)
        return [index for index, digest in enumerate(found.hashes) if digest in known]
    settings = training.settings
    return split(len(found.files), float(str(settings["hold_out"])), int(str(settings["seed"])))[1]


def _scores(artifact: Artifact, detector: Detector, pictures: Iterable[Pixels]) -> Floats:
    judge = artifact.judge
    judged = judge.judge_all(detector, (judge.prepare(pixels) for pixels in pictures))
    return np.array([one.score for one in judged], dtype=np.float32)


def _row(
    change: str, scores: Floats, anomalous: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], thresholds: Thresholds
) -> dict[str, object]:
    decisions = np.array([thresholds.decide(float(score)) for score in scores])
    good, bad = decisions[~anomalous], decisions[anomalous]
    counts = {
        "ng_of_good": rate(int((good == "NG").sum()), len(good)),
        "not_ok_of_good": rate(int((good != "OK").sum()), len(good)),
        "missed": rate(int((bad == "OK").sum()), len(bad)),
    }
    shares = {name: {"count": one.hits, "total": one.total, "share": one.share} for name, one in counts.items()}
    return {"change": change, "image_auroc": auroc(anomalous, scores), **shares}


def _markdown(artifact: Artifact, name: str, rows: Sequence[dict[str, object]]) -> str:
    head = "| change | good NG | good REVIEW or NG | defective OK (missed) | image AUROC |"
    lines = [f"{artifact.manifest.product}, thresholds {name}:", "", head, "|---|---|---|---|---|"]
    for row in rows:
        cells = [_cell(row[key]) for key in ("ng_of_good", "not_ok_of_good", "missed")]
        lines.append(f"| {row['change']} | {' | '.join(cells)} | {100 * float(str(row['image_auroc'])):.1f} |")
    return "\n".join(lines)


def _cell(share: object) -> str:
    assert isinstance(share, dict)
    return f"{share['count']} of {share['total']} ({100 * share['share']:.1f} %)"
