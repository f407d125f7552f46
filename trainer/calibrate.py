"""A finished head and the held-out good images in, scores and maps for the calibration out.

For an artifact they go through the same Detector as in the service, from full-precision activations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.detector import Detector, Row
from models.engines.base import SourceKey
from models.heads.base import Head
from models.preprocess import Prepared
from trainer.activations import ActivationStore

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


def judge_stored(head: Head, store: ActivationStore, indices: Sequence[int], device: torch.device) -> Judged:
    """The stored images in the order of `indices`, from their cached activations: for studies, never for an artifact.

    Half precision moves a score by less than a thousandth of the good scores' spread.
    """
    scores: list[npt.NDArray[np.float32]] = []
    maps: list[npt.NDArray[np.float32]] = []
    for images, activations in store.batches(indices, device, BATCH):
        output = head.judge(images, activations, [True] * len(images))
        scores.append(output.scores.cpu().numpy())
        maps.append(output.maps.cpu().numpy())
    return Judged(np.concatenate(scores), np.concatenate(maps))
