"""Judges a labelled set by an artifact and writes metrics.json, images.json and report.html.

The set is only looked at: nothing of an artifact is ever chosen by what stands here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from models import atomic_file
from models.artifact import Artifact, load_artifact
from models.backends.choice import BackendName
from models.backends.pool import SourcePool
from models.calibration.recalibration import ScoresAndMaps
from models.detector import Detector
from models.heads.base import Bar, to_device
from models.image_folder import NAMED, Reason, passed_over_words
from models.image_judge import ImageJudge, PreparedImage
from models.imaging.decode import ImageError
from models.imaging.picture_views import PictureViews
from trainer.calibrate import judge_all
from trainer.data import LIMITS, good_folder, part_bytes
from trainer.figures import Evaluated, Truth, evaluated, measure, read_truth, realised_of
from trainer.fit_run import Display
from trainer.labelled import passed_over_in, read_labelled_set
from trainer.part_files import find_parts
from trainer.report.bottom_line import bottom_line
from trainer.report.page import write_report
from trainer.visible_defects import visible_defects

PAINTED_DEFECTS = 200  # some 12 in each cell of the chart


@dataclass(frozen=True)
class Machine:
    """What the source runs on."""

    device: torch.device
    backend: BackendName
    threads: int | None
    weights_file: Path | None


@dataclass(frozen=True)
class JudgedSet:
    """A labelled set as one artifact judges it."""

    artifact: Artifact
    detector: Detector
    truth: Truth
    judged: ScoresAndMaps
    found: list[Evaluated]
    passed_over: Mapping[Reason, tuple[str, ...]]


def judge_set(artifact_path: Path, data: Path, machine: Machine, display: Display) -> JudgedSet:
    """Judges every test image. Raises ArtifactError, DataError or SourceWeightsError in clear words."""
    artifact = load_artifact(artifact_path)
    groups = artifact.preprocessing.groups
    labelled = read_labelled_set(data, groups)
    pool = SourcePool(
        machine.device, backend=machine.backend, threads=machine.threads, weights_file=machine.weights_file
    )
    pool.require(artifact.source, artifact.workload)
    to_device(artifact.head, machine.device)
    detector = Detector(machine.device, pool)
    artifact.verify_golden(detector)
    truth = read_truth(labelled, artifact.judge.views)
    for line in truth.unreadable:
        display.say(f"left out: {line}")
    passed_over = passed_over_in(data, groups)
    for line in [*passed_over_words(passed_over), *truth.mask_words()]:
        display.say(line)
    judge = replace(artifact.judge, levels=None)  # levels were looked at above, in the picture as it is
    with display.bar("test images", len(truth.images)) as bar:
        judged = judge_all(detector, artifact.judge, _read_prepared(truth, judge, bar))
    return JudgedSet(artifact, detector, truth, judged, evaluated(truth, judged, artifact.calibration), passed_over)


def evaluate(
    artifact_path: Path,
    data: Path,
    out: Path | None,
    machine: Machine,
    display: Display,
    painted_defects: int = PAINTED_DEFECTS,
) -> Path:
    """Judges every test image, and as many painted defects, and writes the report. Returns the path of report.html.

    Raises ArtifactError, DataError or SourceWeightsError in clear words.
    """
    made = judge_set(artifact_path, data, machine, display)
    artifact, calibration = made.artifact, made.artifact.calibration
    numbers = {
        "product": artifact.manifest.product,
        "version": artifact.manifest.version,
        "artifact_sha256": artifact.sha256,
        "unreadable": list(made.truth.unreadable),
        "passed_over": {
            reason: {"count": len(names), "first": list(names[:NAMED])} for reason, names in made.passed_over.items()
        },
        "masks": made.truth.mask_record(),
        **measure(made.found, calibration, training_brightness(data, artifact.judge.views)),
        **realised_of(
            np.array(calibration.even_scores, dtype=np.float32),
            np.array(calibration.map_peaks, dtype=np.float32) if calibration.map_peaks else None,
            made.judged,
            made.truth,
        ),
    }
    judge = replace(artifact.judge, levels=None)
    good = [image.file for image in made.truth.images if not image.anomalous]
    numbers["painted_defects"] = visible_defects(
        good,
        judge,
        made.detector,
        calibration.thresholds(),
        count=painted_defects,
        seed=0,
        display=display,
    )
    folder = out or Path("reports") / artifact.manifest.product
    folder.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(folder / "metrics.json", json.dumps(numbers, indent=2) + "\n")
    atomic_file.write_text(folder / "images.json", json.dumps([one.as_json() for one in made.found], indent=1) + "\n")
    line = bottom_line(numbers, artifact.manifest)
    for words in line.lines:
        display.say(words)
    return write_report(folder / "report.html", artifact, made.found, numbers, line, data)


def _read_prepared(truth: Truth, judge: ImageJudge, bar: Bar) -> Iterator[PreparedImage]:
    for number, image in enumerate(truth.images):
        yield judge.prepare_file(part_bytes(image.file), LIMITS)
        bar.update(number + 1)


def training_brightness(data: Path, views: PictureViews) -> float | None:
    """Mean of the training images' mean brightness, where the set has readable ones: the control's reference."""
    folder = good_folder(data)
    if folder == data:
        return None
    found = []
    for file in find_parts(folder, groups=views.preprocessing.groups).paths:
        with contextlib.suppress(ImageError):  # the trainer left these out, and said so
            found.append(float(views.prepare_file(part_bytes(file), LIMITS).whole.mean()))
    return float(np.mean(found)) if found else None
