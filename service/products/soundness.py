"""Checks the numbers of a manifest before it may decide on parts: finite, in order, and of a size that can be.

A manifest with a valid hash may still hold numbers that make every part OK, or every golden score pass.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel

from models.artifact import MANIFEST, Artifact, ArtifactError, golden_tolerance

# A network's scores are float32: a threshold beyond them is never exceeded, a spread below them never seen.
LARGEST, SMALLEST = 1e30, 1e-30
FREE_FORM = frozenset({"training", "packages"})  # what was noted for people; no decision rests on it


def check_numbers(artifact: Artifact) -> None:
    """Raises ArtifactError, which names the first number that cannot be."""
    manifest, calibration = artifact.manifest, artifact.calibration
    for name in type(manifest).model_fields:
        if name not in FREE_FORM:
            for where, number in _numbers(getattr(manifest, name), name):
                if not abs(number) < LARGEST:  # NaN is not, either
                    raise _refusal(artifact, f"{where} is {number}, not a number to decide by")
    scale = calibration.map_scale
    if not scale.low < scale.threshold <= scale.high:
        raise _refusal(
            artifact, f"calibration.map_scale: {scale.low:g} < {scale.threshold:g} <= {scale.high:g} is asked"
        )
    thresholds = calibration.thresholds()
    if thresholds.review is not None and thresholds.review.value > thresholds.ng.value:
        raise _refusal(artifact, "calibration: the REVIEW threshold is above the NG threshold")
    if len(calibration.scores) > 1:
        _check_spread(artifact)


def _check_spread(artifact: Artifact) -> None:
    """The golden check allows a share of the whole spread of good scores. One wild score would let it pass anything,
    and would be the threshold as well; so the tolerance must be small against what most of the scores show."""
    low, high = np.quantile(artifact.calibration.scores, (0.25, 0.75))
    tolerance = golden_tolerance(artifact.calibration)
    if not max(tolerance, SMALLEST) < high - low:
        raise _refusal(
            artifact,
            f"calibration.scores: half of them lie within {high - low:.3g}, and golden scores could be off by "
            f"{tolerance:.3g}: they tell nothing apart",
        )


def _numbers(value: object, where: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield where, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _numbers(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{where}.{name}")
    elif isinstance(value, (tuple, list)):
        for number, inner in enumerate(value):
            yield from _numbers(inner, f"{where}.{number}")


def _refusal(artifact: Artifact, reason: str) -> ArtifactError:
    return ArtifactError(artifact.path / MANIFEST, reason)
