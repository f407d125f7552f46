"""Writes the report of an evaluation, one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import numpy as np
import numpy.typing as npt

from models import atomic_file
from models.artifact import Artifact
from models.imaging.map_picture import eight_bit, grey_picture, overlay
from trainer import plots
from trainer.data import read_pixels
from trainer.figures import Evaluated

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 220  # pixels of the longer side in the gallery
ROW = 6


class Card(NamedTuple):
    """One image of the gallery: data URIs of input, overlay, map and mask (None where unknown), and its verdict."""

    name: str
    defect: str
    decision: str
    score: float
    p_value: float
    picture: str
    overlay: str
    map: str
    mask: str | None


class Gallery(NamedTuple):
    """A titled row of cards."""

    title: str
    hint: str
    cards: list[Card]


def write_report(path: Path, artifact: Artifact, found: Sequence[Evaluated], numbers: dict[str, object]) -> Path:
    """Writes the page; returns its path."""
    anomalous = np.array([one.image.anomalous for one in found])
    scores = np.array([one.score for one in found], dtype=np.float32)
    thresholds = artifact.calibration.thresholds()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = lambda share: "not known" if share is None else f"{100 * share:.1f} %"
    at_rates: Any = numbers["at_rates"]
    marks = [(one["rate_promised"], one["rejected"]["share"], 1 - one["missed"]["share"]) for one in at_rates]
    histogram = plots.score_histogram(artifact.calibration.scores, scores[~anomalous], scores[anomalous], thresholds)
    curve: Any = numbers["pro_curve"]
    page = environment.get_template("report.html").render(
        artifact=artifact,
        manifest=artifact.manifest,
        thresholds=thresholds,
        numbers=numbers,
        histogram=_data_uri(histogram),
        roc=_data_uri(plots.roc(anomalous, scores, float(str(numbers["image_auroc"])), marks)),
        pro=_data_uri(plots.pro(curve[0], curve[1], float(str(numbers["pro"])))) if curve else None,
        galleries=_galleries(found, artifact),
    )
    atomic_file.write_text(path, page)
    return path


def _galleries(found: Sequence[Evaluated], artifact: Artifact) -> list[Gallery]:
    ascending = sorted(found, key=lambda one: one.score)
    bad = [one for one in ascending if one.image.anomalous]
    good = [one for one in ascending if not one.image.anomalous]
    edge = artifact.calibration.thresholds().ng.value
    nearest = sorted(found, key=lambda one: abs(one.score - edge))
    rows = (
        ("Best found", "defective parts with the highest scores", bad[::-1]),
        ("Missed, or nearly", "defective parts with the lowest scores: look here first", bad),
        ("Good parts that look worst", "good parts with the highest scores", good[::-1]),
        ("Good parts that look best", "their maps should be quiet", good),
        ("Borderline", "nearest to the NG threshold on either side", nearest),
    )
    return [Gallery(title, hint, [_card(one, artifact) for one in images[:ROW]]) for title, hint, images in rows]


def _card(one: Evaluated, artifact: Artifact) -> Card:
    picture = eight_bit(read_pixels(one.image.file), artifact.preprocessing.sixteen_bit_white)
    height, width = picture.shape[:2]
    share = THUMBNAIL / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small: npt.NDArray[np.uint8] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    grey = grey_picture(one.map, artifact.calibration.map_scale, *size)
    lit = overlay(small, grey)
    mask = None
    if one.mask is not None:
        resized = cv2.resize(one.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        mask = _picture_uri(np.repeat(resized[:, :, None] * np.uint8(255), 3, axis=2))
        edges, _ = cv2.findContours(resized, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        lit = np.ascontiguousarray(lit)
        cv2.drawContours(lit, edges, -1, (64, 200, 255), 1)
    return Card(
        name=one.image.file.name,
        defect=one.image.defect,
        decision=one.decision,
        score=one.score,
        p_value=one.p_value,
        picture=_picture_uri(small),
        overlay=_picture_uri(lit),
        map=_picture_uri(np.repeat(grey[:, :, None], 3, axis=2)),
        mask=mask,
    )


def _picture_uri(rgb: npt.NDArray[np.uint8]) -> str:
    # JPEG, as thirty PNG trios would make a page of 6 MB.
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return _data_uri(encoded.tobytes(), "jpeg")


def _data_uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()
