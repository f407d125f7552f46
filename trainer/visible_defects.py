"""Says which painted defects an artifact would find, by their size and contrast, at its own thresholds.

Good pictures that had no part in training are painted on; no labelled defect is used. The painted defects stand for no
real kind of defect: what the chart tells is how large and how strong a change has to be before it is seen at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.calibration.conformal import Thresholds
from models.detector import Detector
from models.image_judge import ImageJudge, PreparedImage
from trainer import metrics
from trainer.data import read_pixels
from trainer.fit_run import Display
from trainer.painted.paint import Painted
from trainer.painted.part_set import painted_parts
from trainer.painted.scene import CannotPaint
from trainer.painted.separation import DetectionRate, detection_rates, side_px

MOST_PICTURES = 40


def visible_defects(
    files: Sequence[Path],
    judge: ImageJudge,
    detector: Detector,
    thresholds: Thresholds,
    *,
    count: int,
    seed: int,
    display: Display,
) -> dict[str, Any] | None:
    """`count` defects painted on the good pictures of `files`, judged -> for each bin of size and contrast the shares
    that are NG and that are not OK, each with its 95 % interval; None where nothing can be painted on.

    Sizes are shares of the picture's area; `side_px` is the side of a square of that size on the first picture.
    """
    chosen = [
        files[place] for place in np.linspace(0, len(files) - 1, min(len(files), MOST_PICTURES)).round().astype(int)
    ]
    if not chosen or count < 1:
        return None
    painted: list[Painted] = []
    area = 0

    def prepared() -> Iterator[PreparedImage]:
        nonlocal area
        with display.bar("painted defects", count) as bar:
            groups = judge.preprocessing.groups
            parts = (read_pixels(file, groups) for file in chosen)
            for part in painted_parts(parts, groups, -(-count // len(chosen)), seed):
                if len(painted) == count:
                    return
                one = part.defect
                if not _is_looked_at(one, judge):
                    continue
                painted.append(one._replace(pixels=one.pixels[:0], mask=one.mask[:0]))
                area = area or one.mask.size
                bar.update(len(painted))
                yield judge.prepare(part.pixels)

    try:
        scores = np.array([one.score for one in judge.judge_all(detector, prepared())], dtype=np.float32)
    except CannotPaint as error:
        display.say(f"no chart of the defects that would be found: {error}")
        return None
    if not painted:
        display.say("no chart of the defects that would be found: none could be painted where the product looks")
        return None
    lowest = thresholds.ng if thresholds.review is None else thresholds.review
    pairs = zip(
        detection_rates(scores, painted, thresholds.ng.value),
        detection_rates(scores, painted, min(lowest.value, thresholds.ng.value)),
        strict=True,
    )
    return {
        "painted": len(painted),
        "pictures": len(chosen),
        "picture_px": area,
        "cells": [_cell(ng, not_ok, area) for ng, not_ok in pairs],
    }


def _is_looked_at(painted: Painted, judge: ImageJudge) -> bool:
    """Whether half of the defect or more lies where the product looks."""
    if judge.regions is None:
        return True
    height, width = painted.mask.shape
    return bool(judge.regions.on_map(width, height)[painted.mask].mean() >= 0.5)


def _cell(ng: DetectionRate, not_ok: DetectionRate, area: int) -> dict[str, Any]:
    return {
        "size": list(ng.size),
        "side_px": [side_px(share, area) for share in ng.size],
        "contrast": list(ng.contrast),
        "ng": _share(ng.rate),
        "not_ok": _share(not_ok.rate),
    }


def _share(rate: metrics.Rate) -> dict[str, float]:
    return {"count": rate.hits, "total": rate.total, "share": rate.share, "low_95": rate.low, "high_95": rate.high}
