"""Judges good pictures by heads that were not fitted to them: the scores that thresholds are counted on.

The held-out pictures by the head that is served or, by folds, all pictures, each by the head of its fold. They go
through the same detector as in the service.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.calibration.recalibration import ScoresAndMaps
from models.detector import Detector
from models.heads.base import Head
from models.image_judge import ImageJudge
from trainer.calibrate import judge_under
from trainer.config import TrainingSettings
from trainer.golden import GoldenPictures, golden_pictures
from trainer.parts_split import PartsSplit, worst_of_groups
from trainer.training_set import TrainingSet


class UnseenPictures:
    """Scores and maps of pictures by heads that have not seen them, head by head."""

    def __init__(
        self,
        found: TrainingSet,
        settings: TrainingSettings,
        judge_of: Callable[[Head], ImageJudge],
        detector: Detector,
    ) -> None:
        self._found = found
        self._settings = settings
        self._judge_of = judge_of
        self._detector = detector
        self._pictures: list[int] = []
        self._judged: list[ScoresAndMaps] = []
        self._golden: GoldenPictures | None = None

    def judge(self, head: Head, pictures: Sequence[int]) -> None:
        """Judges `pictures` by a head that was fitted to none of them, nor to near-duplicates of any."""
        judge, files = self._judge_of(head), tuple(self._found.files[index] for index in pictures)
        judged = judge_under(self._detector, judge, files, self._settings.calibrate_under)
        self._pictures += pictures
        self._judged.append(judged)
        if self._golden is None:  # while this head is at hand: one fold is as many pictures as are held out
            self._golden = golden_pictures(files, judged.scores, judge, self._detector, self._settings.seed)

    @property
    def pictures(self) -> list[int]:
        """All that were judged, in order."""
        return sorted(self._pictures)

    @property
    def golden(self) -> GoldenPictures:
        """Golden pictures of the first head, and whether it tells painted defects from pictures it has not seen."""
        assert self._golden is not None
        return self._golden

    def counted(self, split: PartsSplit) -> ScoresAndMaps:
        """What thresholds are counted on: one entry for each group of near-duplicates."""
        order = np.argsort(np.array(self._pictures), kind="stable")
        scores = np.concatenate([one.scores for one in self._judged])[order]
        maps = np.concatenate([one.maps for one in self._judged])[order]
        return worst_of_groups(ScoresAndMaps(scores, maps), split.labels[self.pictures])
