"""An artifact and a labelled set in, metrics.json and report.html out.

The set is only looked at: nothing of an artifact is ever chosen by what stands here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.artifact import Artifact, load_artifact
from models.calibration import Decision
from models.detector import Detector
from models.engines.pool import EngineName, SourcePool
from models.heads.base import to_device
from models.image_file import ImageError
from models.preprocess import Preprocessing, prepare
from trainer import metrics
from trainer.calibrate import judge_all
from trainer.data import good_folder, image_files, read_pixels
from trainer.labelled import GOOD, LabelledImage, Mask, read_labelled_set
from trainer.report import write_report
from trainer.run import Display

EVALUATION_SIDE = 256  # masks and maps are compared at most at this size of the longer side, to bound the memory
BATCH = 16
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Evaluated:
    """One test image with its verdict; `map` is (S, S), `mask` at the comparison's size or None where unknown."""

    image: LabelledImage
    score: float
    p_value: float
    decision: Decision
    map: Floats
    mask: Mask | None
    brightness: float

    def lit(self, artifact: Artifact) -> bool:
        """Whether any pixel of the map is above the map's threshold."""
        return bool((self.map > artifact.calibration.map_scale.threshold).any())

    def map_at_mask(self) -> Floats:
        """The map at the size of the mask."""
        assert self.mask is not None
        height, width = self.mask.shape
        resized: Floats = cv2.resize(self.map, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        return resized


def evaluate(
    artifact_path: Path,
    data: Path,
    out: Path | None,
    *,
    device: torch.device,
    engine: EngineName,
    threads: int | None,
    weights_file: Path | None,
    display: Display,
) -> Path:
    """Judges every test image and writes the report. Returns the path of report.html.

    Raises ArtifactError, DataError or SourceWeightsError in clear words.
    """
    labelled = read_labelled_set(data)
    artifact = load_artifact(artifact_path)
    pool = SourcePool(device, engine=engine, threads=threads, weights_file=weights_file)
    pool.require(artifact.source)
    to_device(artifact.head, device)
    detector = Detector(device, pool)
    artifact.verify_golden(detector)
    found: list[Evaluated] = []
    unreadable: list[str] = []
    with display.bar("test images", len(labelled)) as bar:
        for start in range(0, len(labelled), BATCH):
            found += _judge(labelled[start : start + BATCH], artifact, detector, unreadable)
            bar.update(min(start + BATCH, len(labelled)))
    for line in unreadable:
        display.say(f"left out, unreadable: {line}")
    numbers = measure(found, artifact, _training_brightness(data, artifact.preprocessing), unreadable)
    folder = out or Path("reports") / artifact.manifest.product
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")
    display.say(json.dumps({key: numbers[key] for key in ("image_auroc", "pixel_auroc", "pro", "brightness_control")}))
    return write_report(folder / "report.html", artifact, found, numbers)


def _judge(
    images: Sequence[LabelledImage], artifact: Artifact, detector: Detector, unreadable: list[str]
) -> list[Evaluated]:
    readable, prepared, sizes, brightness = [], [], [], []
    for image in images:
        try:
            pixels = read_pixels(image.file)
        except ImageError as error:
            unreadable.append(f"{image.defect}/{image.file.name}: {error}")
            continue
        readable.append(image)
        prepared.append(prepare(pixels, artifact.preprocessing))
        brightness.append(float(prepared[-1].mean()))
        height, width = pixels.shape[:2]
        shrink = min(1.0, EVALUATION_SIDE / max(height, width))
        sizes.append((max(1, round(width * shrink)), max(1, round(height * shrink))))
    if not readable:
        return []
    judged = judge_all(detector, artifact.head, artifact.source, prepared)
    thresholds = artifact.calibration.thresholds()
    return [
        Evaluated(
            image=image,
            score=float(score),
            p_value=artifact.calibration.p_value(float(score)),
            decision=thresholds.decide(float(score)),
            map=anomaly_map,
            mask=image.mask(*size),
            brightness=light,
        )
        for image, score, anomaly_map, size, light in zip(
            readable, judged.scores, judged.maps, sizes, brightness, strict=True
        )
    ]


def _training_brightness(data: Path, preprocessing: Preprocessing) -> float | None:
    """Mean of the training images' mean brightness, where the set has readable ones: the control's reference."""
    folder = good_folder(data)
    if folder == data:
        return None
    found = []
    for file in image_files(folder):
        with contextlib.suppress(ImageError):  # the trainer left these out, and said so
            found.append(float(prepare(read_pixels(file), preprocessing).mean()))
    return float(np.mean(found)) if found else None


def measure(
    found: Sequence[Evaluated], artifact: Artifact, training_brightness: float | None, unreadable: Sequence[str]
) -> dict[str, object]:
    """All figures as they stand in metrics.json. AUROC and PRO from 0 to 1; None where they cannot be computed."""
    anomalous = np.array([one.image.anomalous for one in found])
    scores = np.array([one.score for one in found], dtype=np.float32)
    light = np.array([one.brightness for one in found], dtype=np.float32)
    control: dict[str, float | None] = {"as_it_is": metrics.auroc(anomalous, light), "distance_from_training": None}
    if training_brightness is not None:
        control["distance_from_training"] = metrics.auroc(anomalous, np.abs(light - np.float32(training_brightness)))
    defects = sorted({one.image.defect for one in found} - {GOOD})
    quiet = [one for one in found if not one.image.anomalous]
    return {
        "product": artifact.manifest.product,
        "version": artifact.manifest.version,
        "artifact_sha256": artifact.sha256,
        "images": len(found),
        "images_anomalous": int(anomalous.sum()),
        "unreadable": list(unreadable),
        "masks_unknown": sum(one.mask is None for one in found),
        "image_auroc": metrics.auroc(anomalous, scores),
        "brightness_control": control,
        **_pixel_figures(found),
        "good_parts_lit": _rate(sum(one.lit(artifact) for one in quiet), len(quiet)),
        "decisions_on_good": _decisions(quiet),
        "defects": {
            defect: {
                "image_auroc": metrics.auroc(
                    *_against_good([one for one in found if one.image.defect in {GOOD, defect}])
                ),
                **_pixel_figures([one for one in found if one.image.defect in {GOOD, defect}]),
                "decisions": _decisions([one for one in found if one.image.defect == defect]),
            }
            for defect in defects
        },
    }


def _against_good(found: Sequence[Evaluated]) -> tuple[npt.NDArray[np.bool_], Floats]:
    return np.array([one.image.anomalous for one in found]), np.array([one.score for one in found], dtype=np.float32)


def _pixel_figures(found: Sequence[Evaluated]) -> dict[str, float | None]:
    known = [one for one in found if one.mask is not None]
    masks = [one.mask for one in known if one.mask is not None]
    if not any(mask.any() for mask in masks):
        return {"pixel_auroc": None, "pro": None}
    maps = [one.map_at_mask() for one in known]
    return {"pixel_auroc": metrics.pixel_auroc(masks, maps), "pro": metrics.pro(masks, maps)}


def _decisions(found: Sequence[Evaluated]) -> dict[str, object]:
    decisions = [one.decision for one in found]
    rejected = len(decisions) - decisions.count("OK")
    return {
        **{decision: decisions.count(decision) for decision in ("OK", "REVIEW", "NG")},
        "ng_share": _rate(decisions.count("NG"), len(found)),
        "not_ok_share": _rate(rejected, len(found)),
    }


def _rate(count: int, total: int) -> dict[str, float]:
    found = metrics.rate(count, total)
    return {"count": count, "total": total, "share": found.share, "low_95": found.low, "high_95": found.high}
