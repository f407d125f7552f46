"""A finished head and the held-out good images in, scores and maps for the calibration out.

They go through the same Detector as in the service, from full-precision activations, not through the training cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.detector import Detector, Row
from models.engines.base import SourceKey
from models.heads.base import Head
from models.preprocess import Prepared

BATCH = 16


class Judged(NamedTuple):
    """Scores (n,) and maps (n, S, S)."""

    scores: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]


def judge_all(detector: Detector, head: Head, source: SourceKey, images: Iterable[Prepared]) -> Judged:
    """Every image in order, in batches; all maps are kept in memory (64 KiB each at 128 pixels)."""
    scores: list[float] = []
    maps: list[npt.NDArray[np.float32]] = []
    pending: list[Row] = []

    def flush() -> None:
        for judgement in detector.judge(pending):
            assert judgement.map is not None
            scores.append(judgement.score)
            maps.append(judgement.map)
        pending.clear()

    for image in images:
        pending.append(Row(image, head, source, wants_map=True))
        if len(pending) == BATCH:
            flush()
    if pending:
        flush()
    return Judged(np.asarray(scores, dtype=np.float32), np.stack(maps))
