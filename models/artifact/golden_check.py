"""Says how many of an artifact's golden pictures a start judges: all, or one where all have passed here before.

What has passed is kept by artifact and by all that a score follows from, so anything that changes has all of them
judged again. One is always judged, with its map: it tells a damaged library or memory. The scores that were found are
kept and must still pass by the artifact's own rule, so a record that says less than that is none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from models.artifact.golden import check_golden_scores, golden_tolerance, verify_first_golden, verify_golden
from models.artifact.manifest import ArtifactError
from models.artifact.read import Artifact
from models.detector import Detector
from models.kept_records import KeptRecords

FOLDER = "golden-checks"
AS_BEFORE = 0.25  # of the tolerance: on one machine a score moves less, and a larger move has all of them judged


class PassedCheck(BaseModel):
    """All golden pictures have passed: when (ISO 8601, UTC), and their scores in the manifest's order."""

    passed_at: str
    scores: tuple[float, ...]


class GoldenChecks:
    """What has passed on this machine, in `folder`/golden-checks."""

    def __init__(self, folder: Path) -> None:
        self._records = KeptRecords(folder / FOLDER, PassedCheck)

    def check(self, artifact: Artifact, detector: Detector, conditions: str) -> str:
        """Judge what has to be judged and say in words what that was. Raises ArtifactError where it does not pass.

        `conditions` tells all that the scores follow from beside the artifact. A check that fails leaves no record.
        """
        key = f"artifact {artifact.sha256}; {conditions}"
        passed = self._records.find(key)
        count = len(artifact.manifest.golden)
        if passed is not None and _holds(artifact, passed) and self._is_as_before(artifact, detector, passed):
            return f"1 of {count}, as all passed at {passed.passed_at}"
        self._records.forget(key)
        scores = verify_golden(artifact, detector)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._records.keep(key, PassedCheck(passed_at=now, scores=scores))
        return all_checked(artifact)

    @staticmethod
    def _is_as_before(artifact: Artifact, detector: Detector, passed: PassedCheck) -> bool:
        try:
            score = verify_first_golden(artifact, detector)
        except ArtifactError:  # judged again with the others, which has the last word
            return False
        return abs(score - passed.scores[0]) <= AS_BEFORE * golden_tolerance(artifact.calibration)


def all_checked(artifact: Artifact) -> str:
    """The words for a check of every golden picture."""
    return f"all {len(artifact.manifest.golden)}"


def _holds(artifact: Artifact, passed: PassedCheck) -> bool:
    """Whether the scores in the record pass."""
    try:
        check_golden_scores(artifact, passed.scores)
    except (ArtifactError, ValueError):  # ValueError: not as many as there are pictures
        return False
    return True
