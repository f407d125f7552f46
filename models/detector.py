"""Rows of any mix of products in, their scores and maps out: one source pass, then each head on its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.engines.base import SourceEngine, SourceKey
from models.heads.base import Head
from models.preprocess import Prepared


class Row(NamedTuple):
    """One image on its way through a head: `image` is (3, S, S) float32 as `models.preprocess.prepare` gives it."""

    image: Prepared
    head: Head
    source: SourceKey
    wants_map: bool = False


class Judgement(NamedTuple):
    """The score of one row and, if it asked, its anomaly map (S, S) float32, both before any calibration."""

    score: float
    map: npt.NDArray[np.float32] | None


class Detector:
    """The source engines of one device, and the rows they are given. Holds no state, so threads may share it.

    `engines` may grow while serving: `models.engines.pool.SourcePool` adds one when the first artifact needs it.
    """

    def __init__(self, device: torch.device, engines: Mapping[SourceKey, SourceEngine]) -> None:
        self.device = device
        self._engines = engines

    def judge(self, rows: Sequence[Row]) -> list[Judgement]:
        """One Judgement for each row, in order. The heads must be on this detector's device.

        Rows with the same source and image size share one source pass; each head then sees its own rows as one batch.
        """
        found: list[Judgement | None] = [None] * len(rows)
        groups: dict[tuple[SourceKey, int], list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault((row.source, row.image.shape[-1]), []).append(number)
        for (source, _), numbers in groups.items():
            # Sorted by head, so that each head's rows are one slice of the batch and nothing is copied.
            numbers.sort(key=lambda number: id(rows[number].head))
            self._judge_group(source, [rows[number] for number in numbers], numbers, found)
        return [judgement for judgement in found if judgement is not None]

    def _judge_group(
        self, source: SourceKey, rows: list[Row], numbers: list[int], found: list[Judgement | None]
    ) -> None:
        images = torch.from_numpy(np.stack([row.image for row in rows])).to(self.device)
        activations = self._engines[source].activations(images)
        start = 0
        while start < len(rows):
            head = rows[start].head
            stop = start
            while stop < len(rows) and rows[stop].head is head:
                stop += 1
            part = slice(start, stop)
            wants = [row.wants_map for row in rows[part]]
            output = head.judge(images[part], {tap: tensor[part] for tap, tensor in activations.items()}, wants)
            scores = output.scores.tolist()
            maps = iter(output.maps.cpu().numpy())
            for number, score, wanted in zip(numbers[part], scores, wants, strict=True):
                found[number] = Judgement(score, next(maps) if wanted else None)
            start = stop
