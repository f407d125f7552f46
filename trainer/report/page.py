"""Writes the report of an evaluation, one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from models import atomic_file
from models.artifact import Artifact
from trainer.figures import Evaluated
from trainer.report import plots
from trainer.report.bottom_line import BottomLine
from trainer.report.cards import Card, card, data_uri

TEMPLATES = Path(__file__).parent / "templates"
ROW = 6


class Gallery(NamedTuple):
    """A titled row of cards."""

    title: str
    hint: str
    cards: list[Card]


def write_report(
    path: Path, artifact: Artifact, found: Sequence[Evaluated], numbers: dict[str, object], line: BottomLine, data: Path
) -> Path:
    """Writes the page; returns its path."""
    anomalous = np.array([one.image.anomalous for one in found])
    scores = np.array([one.score for one in found], dtype=np.float32)
    thresholds = artifact.calibration.thresholds()
    at_rates: Any = numbers["at_rates"]
    marks = [(one["rate_promised"], one["rejected"]["share"], 1 - one["not_rejected"]["share"]) for one in at_rates]
    folds = artifact.calibration.folds
    how = "held out" if folds is None else f"by {folds} folds"
    counted = artifact.calibration.even_scores
    histogram = plots.score_histogram(counted, scores[~anomalous], scores[anomalous], thresholds, how)
    curve: Any = numbers["pro_curve"]
    page = (
        environment()
        .get_template("report.html")
        .render(
            line=line,
            data=data,
            what_if=what_if(artifact, found),
            artifact=artifact,
            manifest=artifact.manifest,
            thresholds=thresholds,
            numbers=numbers,
            histogram=data_uri(histogram),
            roc=data_uri(plots.roc(anomalous, scores, float(str(numbers["image_auroc"])), marks)),
            pro=data_uri(plots.pro(curve[0], curve[1], float(str(numbers["pro"])))) if curve else None,
            galleries=_galleries(found, artifact),
            chart=chart_of(numbers.get("painted_defects")),
        )
    )
    atomic_file.write_text(path, page)
    return path


def environment() -> jinja2.Environment:
    """Templates of pages; whatever is put into one is escaped."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    found.filters["percent"] = lambda share: "not known" if share is None else f"{100 * share:.1f} %"
    return found


def chart_of(record: Any) -> dict[str, object] | None:
    """The painted defects' cells as rows by size and columns by contrast; None where none were painted."""
    if record is None:
        return None
    cells = {(tuple(cell["size"]), tuple(cell["contrast"])): cell for cell in record["cells"]}
    sizes = sorted({(size, tuple(cell["side_px"])) for (size, _), cell in cells.items()})
    contrasts = sorted({contrast for _, contrast in cells})
    rows = [
        {"size": size, "side_px": side, "cells": [cells.get((size, contrast)) for contrast in contrasts]}
        for size, side in sizes
    ]
    return {"contrasts": contrasts, "rows": rows}


def what_if(artifact: Artifact, found: Sequence[Evaluated]) -> dict[str, object]:
    """What the page's slider counts with: the scores of the calibration, and every judged image's kind and score."""
    return {
        "held_out": list(artifact.calibration.even_scores),
        "judged": [[one.image.defect if one.image.anomalous else "", one.score] for one in found],
        "rate": artifact.calibration.ng_rate,
    }


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
    return [Gallery(title, hint, [card(one, artifact) for one in images[:ROW]]) for title, hint, images in rows]
