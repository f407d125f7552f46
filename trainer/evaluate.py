"""Judges a labelled set by an artifact and writes metrics.json, images.json and report.html.

The set is only looked at: nothing of an artifact is ever chosen by what stands here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.artifact import load_artifact
from models.backends.pool import BackendName, SourcePool
from models.detector import Detector
from models.heads.base import Bar, to_device
from models.image_judge import ImageJudge, PreparedImage
from models.imaging.decode import ImageError
from models.imaging.picture_views import PictureViews
from trainer.calibrate import judge_all
from trainer.data import LIMITS, good_folder, image_files
from trainer.figures import Truth, evaluated, measure, read_truth, realised_of
from trainer.fit_run import Display
from trainer.labelled import read_labelled_set
from trainer.report import write_report


def evaluate(
    artifact_path: Path,
    data: Path,
    out: Path | None,
    *,
    device: torch.device,
    backend: BackendName,
    threads: int | None,
    weights_file: Path | None,
    display: Display,
) -> Path:
    """Judges every test image and writes the report. Returns the path of report.html.

    Raises ArtifactError, DataError or SourceWeightsError in clear words.
    """
    labelled = read_labelled_set(data)
    artifact = load_artifact(artifact_path)
    pool = SourcePool(device, backend=backend, threads=threads, weights_file=weights_file)
    pool.require(artifact.source)
    to_device(artifact.head, device)
    detector = Detector(device, pool)
    artifact.verify_golden(detector)
    truth = read_truth(labelled, artifact.judge.views)
    for line in truth.unreadable:
        display.say(f"left out: {line}")
    for line in truth.mask_words():
        display.say(line)
    judge = replace(artifact.judge, levels=None)  # levels were looked at above, in the picture as it is
    with display.bar("test images", len(truth.images)) as bar:
        judged = judge_all(detector, artifact.judge, _read_prepared(truth, judge, bar))
    found = evaluated(truth, judged, artifact.calibration)
    numbers = {
        "product": artifact.manifest.product,
        "version": artifact.manifest.version,
        "artifact_sha256": artifact.sha256,
        "unreadable": list(truth.unreadable),
        "masks": truth.mask_record(),
        **measure(found, artifact.calibration, training_brightness(data, artifact.judge.views)),
        **realised_of(
            np.array(artifact.calibration.scores, dtype=np.float32),
            np.array(artifact.calibration.map_peaks, dtype=np.float32) if artifact.calibration.map_peaks else None,
            judged,
            truth,
        ),
    }
    folder = out or Path("reports") / artifact.manifest.product
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")
    (folder / "images.json").write_text(json.dumps([one.as_json() for one in found], indent=1) + "\n")
    display.say(json.dumps({key: numbers[key] for key in ("image_auroc", "pixel_auroc", "pro", "brightness_control")}))
    return write_report(folder / "report.html", artifact, found, numbers)


def _read_prepared(truth: Truth, judge: ImageJudge, bar: Bar) -> Iterator[PreparedImage]:
    for number, image in enumerate(truth.images):
        yield judge.prepare_file(image.file.read_bytes(), LIMITS)
        bar.update(number + 1)


def training_brightness(data: Path, views: PictureViews) -> float | None:
    """Mean of the training images' mean brightness, where the set has readable ones: the control's reference."""
    folder = good_folder(data)
    if folder == data:
        return None
    found = []
    for file in image_files(folder):
        with contextlib.suppress(ImageError):  # the trainer left these out, and said so
            found.append(float(views.prepare_file(file.read_bytes(), LIMITS).whole.mean()))
    return float(np.mean(found)) if found else None
