"""Golden images: judged again wherever an artifact is loaded, and compared with their stored scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.artifact.manifest import ArtifactError, GoldenRecord
from models.calibration.conformal import Calibration
from models.detector import Detector
from models.image_judge import PreparedImage
from models.imaging.errors import ImageError
from models.imaging.grouped_decode import decode_groups

if TYPE_CHECKING:
    from models.artifact.read import Artifact

# A golden score may differ by this share of the spread of good scores: far below what could move a decision.
GOLDEN_TOLERANCE = 0.02


def verify_golden(artifact: Artifact, detector: Detector) -> tuple[float, ...]:
    """Decodes, prepares and judges the golden images here and now; their scores, in the manifest's order.

    They are judged side by side, the first with its map, which must be finite: so what a head does for a request is
    done once before one comes.
    The head must be on the detector's device and its source built. Raises ArtifactError as `check_golden_scores` does.
    """
    scores = _scores(artifact, detector, artifact.manifest.golden)
    check_golden_scores(artifact, scores)
    return scores


def verify_first_golden(artifact: Artifact, detector: Detector) -> float:
    """As `verify_golden` for the first golden image alone, with its map; its score."""
    (score,) = _scores(artifact, detector, artifact.manifest.golden[:1])
    _check_score(artifact, artifact.manifest.golden[0], score)
    return score


def check_golden_scores(artifact: Artifact, scores: Sequence[float]) -> None:
    """Raises ArtifactError where a score differs from the one that the artifact was made with.

    The tolerance is GOLDEN_TOLERANCE of the held-out scores' spread. A golden picture with a painted defect must score
    above all good ones, unless the artifact says that its training set was degenerate and a person has accepted that.
    """
    for one, score in zip(artifact.manifest.golden, scores, strict=True):
        _check_score(artifact, one, score)
    if artifact.manifest.degenerate is None:
        _check_defect(artifact, scores)


def _scores(artifact: Artifact, detector: Detector, golden: Sequence[GoldenRecord]) -> tuple[float, ...]:
    pictures = [_picture(artifact, one) for one in golden]
    wants_map = [number == 0 for number in range(len(pictures))]
    judged = list(artifact.judge.judge_together(detector, pictures, wants_map))
    for one, first in zip(golden[:1], judged, strict=False):
        if math.isfinite(first.score) and (first.map is None or not np.isfinite(first.map).all()):
            raise ArtifactError(artifact.path / one.file, "has a map that is not finite here")
    return tuple(judgement.score for judgement in judged)


def _check_score(artifact: Artifact, golden: GoldenRecord, score: float) -> None:
    tolerance = golden_tolerance(artifact.calibration)
    if not abs(score - golden.score) <= tolerance:
        raise ArtifactError(
            artifact.path / golden.file,
            f"scores {score:.6g} here and {golden.score:.6g} when it was made; "
            f"a difference of at most {tolerance:.2g} is allowed",
        )


def _check_defect(artifact: Artifact, scores: Sequence[float]) -> None:
    golden = list(zip(artifact.manifest.golden, scores, strict=True))
    top = max((score for one, score in golden if not one.defect), default=None)
    for one, score in golden:
        if one.defect and top is not None and not score > top:
            raise ArtifactError(
                artifact.path / one.file,
                f"a painted defect scores {score:.6g} and a good picture {top:.6g}: the head does not see defects",
            )


def golden_pictures(artifact: Artifact) -> list[PreparedImage]:
    """The golden images, decoded and prepared. Raises ArtifactError for one that cannot be read."""
    return [_picture(artifact, one) for one in artifact.manifest.golden]


def golden_tolerance(calibration: Calibration) -> float:
    """How far a golden score may be off, in score units."""
    spread = calibration.scores[-1] - calibration.scores[0]
    return GOLDEN_TOLERANCE * spread + 1e-5 * abs(calibration.scores[-1])


def _picture(artifact: Artifact, golden: GoldenRecord) -> PreparedImage:
    file = artifact.path / golden.file
    try:
        data = file.read_bytes()
        return artifact.judge.prepare(decode_groups(data, artifact.preprocessing.groups).pixels)
    except (ImageError, OSError) as error:
        raise ArtifactError(file, f"cannot be read: {error}") from error
