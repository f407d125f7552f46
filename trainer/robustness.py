"""An artifact and a labelled set in, false rejects and misses under small changes of light, focus and place out.

The thresholds stay as they are: what is measured is what a line would see on a day that differs a little from those in
the training pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.artifact import Artifact, load_artifact
from models.backends.pool import BackendName, SourcePool
from models.calibration.conformal import Calibration, Thresholds
from models.detector import Detector, Row
from models.heads.base import to_device
from models.imaging.decode import Pixels
from models.imaging.preprocess import prepare
from trainer.calibrate import BATCH, calibrated, judge_under
from trainer.config import TrainingSettings
from trainer.data import DataError, read_pixels, read_training_set, split
from trainer.figures import Floats, read_truth
from trainer.labelled import read_labelled_set
from trainer.metrics import auroc, rate
from trainer.perturb import PERTURBATIONS, Change
from trainer.run import Display


@dataclass(frozen=True)
class Robustness:
    """What is measured. `calibrate_under` adds a table by thresholds from held-out images that were changed so."""

    artifact: Path
    data: Path
    out: Path | None
    calibrate_under: tuple[Change, ...]
    device: torch.device
    engine: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None


def measure_robustness(job: Robustness, display: Display) -> Path:
    """Writes robustness.json and robustness.md; returns the path of the latter. Raises as `trainer.evaluate` does."""
    labelled, artifact = read_labelled_set(job.data), load_artifact(job.artifact)
    pool = SourcePool(job.device, backend=job.engine, threads=job.threads, weights_file=job.weights_file)
    pool.require(artifact.source)
    to_device(artifact.head, job.device)
    detector = Detector(job.device, pool)
    artifact.verify_golden(detector)
    calibrations = {"as it is": artifact.calibration}
    if job.calibrate_under:
        name = f"calibrated under {', '.join(job.calibrate_under)}"
        calibrations[name] = _calibrated_under(job, artifact, detector)
    truth = read_truth(labelled, artifact.preprocessing)
    pictures = [read_pixels(image.file) for image in truth.images]
    scores = {"none": _scores(artifact, detector, pictures)}
    with display.bar("perturbations", len(PERTURBATIONS)) as bar:
        for name, (_, perturb) in PERTURBATIONS.items():
            scores[name] = _scores(artifact, detector, (perturb(pixels) for pixels in pictures))
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
    """From the images that the trainer held out, found again by its own split."""
    found = read_training_set(job.data)
    if found.sha256 != artifact.manifest.training.data_sha256:
        raise DataError(f"{job.data} does not hold the images that the artifact was trained on and calibrated with")
    settings = TrainingSettings.model_validate(artifact.manifest.training.settings)
    _, held_out = split(len(found.files), settings.hold_out, settings.seed)
    files = [found.files[index] for index in held_out]
    judged = judge_under(detector, artifact.head, artifact.source, files, artifact.preprocessing, job.calibrate_under)
    return calibrated(judged, settings)


def _scores(artifact: Artifact, detector: Detector, pictures: Sequence[Pixels] | Iterator[Pixels]) -> Floats:
    scores: list[float] = []
    pending: list[Row] = []
    for pixels in pictures:
        pending.append(Row(prepare(pixels, artifact.preprocessing), artifact.head, artifact.source))
        if len(pending) == BATCH:
            scores += [one.score for one in detector.judge(pending)]
            pending = []
    if pending:
        scores += [one.score for one in detector.judge(pending)]
    return np.array(scores, dtype=np.float32)


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
