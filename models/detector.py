"""Judges rows of any mix of products: one source pass for all of them, then each head on its own rows.

On a CPU the heads' rows are cut into pieces that the cores take in turn, each piece on one core alone: many products in
one batch then cost what one product costs, and a piece's activations stay near its core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.backends.base import SourceBackend, SourceKey
from models.backends.single_threads import SingleThreads, waiting_threads_sleep
from models.heads.base import Head
from models.imaging.preprocess import Prepared
from models.sources.registry import Activations

PIECE_ROWS = 8  # more at once only leave the core's cache


class Row(NamedTuple):
    """One image on its way through a head: `image` is (3, S, S) float32 as `models.imaging.preprocess.prepare` gives
    it. `view` is its number among the views of its picture: each tile may have a head of its own.
    """

    image: Prepared
    head: Head
    source: SourceKey
    wants_map: bool = False
    view: int = 0


class Judgement(NamedTuple):
    """The score of one row and, if it asked, its anomaly map (S, S) float32, both before any calibration.

    `decided_by` names the member of a combined head that raised the score most; `group` the group of channels of a
    picture that has several, once the judgements of its rows have been joined.
    """

    score: float
    map: npt.NDArray[np.float32] | None
    decided_by: str | None = None
    group: str | None = None


class Detector:
    """The source backends of one device, and the rows they are given. Holds no state, so threads may share it.

    `backends` may grow while serving: `models.backends.pool.SourcePool` adds one when the first artifact needs it.
    """

    def __init__(self, device: torch.device, backends: Mapping[SourceKey, SourceBackend]) -> None:
        self.device = device
        self._backends = backends
        self._threads = SingleThreads(torch.get_num_threads(), "mkd-head") if device.type == "cpu" else None
        # A head's many small operations are not worth waking a second thread for: 6 ms instead of 9 for one image.
        self._alone = waiting_threads_sleep()

    def judge(self, rows: Sequence[Row]) -> list[Judgement]:
        """One Judgement for each row, in order. The heads must be on this detector's device.

        Rows with the same source and image size share one source pass, which computes no tap that none of their heads
        needs; each head then sees its own rows as one batch.
        """
        rows = [row._replace(head=row.head.of_view(row.view)) for row in rows]
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
        images = torch.from_numpy(_batch(rows)).to(self.device)
        backend = self._backends[source]
        activations = backend.activations(images, {tap for row in rows for tap in row.head.needs.taps})
        further = _further_passes(images, rows, backend, activations)

        def judge(part: slice) -> None:
            head, wants = rows[part.start].head, [row.wants_map for row in rows[part]]
            own = {tap: activations[tap][part] for tap in head.needs.taps}
            also = further[head].of(part) if head in further else None
            output = head.judge(images[part], own, wants, also)
            maps = iter(output.maps.cpu().numpy())
            decided = output.decided or [None] * len(wants)
            for number, score, wanted, by in zip(numbers[part], output.scores.tolist(), wants, decided, strict=True):
                found[number] = Judgement(score, next(maps) if wanted else None, by)

        threads = self._threads.count if self._threads else 1
        pieces = _pieces(rows, min(PIECE_ROWS, -(-len(rows) // threads)) if self._threads else len(rows))
        if self._threads is None or threads == 1 or (len(pieces) == 1 and not self._alone):
            for piece in pieces:
                judge(piece)
        elif len(pieces) == 1:
            self._threads.alone(judge, pieces[0])
        else:
            self._threads.map(judge, pieces)


class _FurtherPass(NamedTuple):
    """The activations of one head's changed images, the first of which is row `start` of the batch."""

    start: int
    activations: Activations

    def of(self, part: slice) -> dict[str, Tensor]:
        """Those of some of its rows."""
        return {tap: found[part.start - self.start : part.stop - self.start] for tap, found in self.activations.items()}


def _further_passes(
    images: Tensor, rows: Sequence[Row], backend: SourceBackend, activations: Activations
) -> dict[Head, _FurtherPass]:
    """One pass over all rows of each head that asks for it: a source does a batch sooner than its pieces."""
    found = {}
    for part in _pieces(rows, len(rows)):
        head = rows[part.start].head
        if head.needs.further_pass:
            own = {tap: activations[tap][part] for tap in head.needs.taps}
            taken = backend.activations(head.changed(images[part], own), head.needs.taps)
            found[head] = _FurtherPass(part.start, taken)
    return found


def _batch(rows: Sequence[Row]) -> Prepared:
    """The rows' images (B, 3, S, S). A single one is not copied, unless it is read-only: torch warns of that."""
    if len(rows) == 1 and rows[0].image.flags.writeable:
        return rows[0].image[None]
    return np.stack([row.image for row in rows])


def _pieces(rows: Sequence[Row], most: int) -> list[slice]:
    """Neighbours of one head, at most `most` in a piece."""
    found: list[slice] = []
    for number, row in enumerate(rows):
        last = found[-1] if found else None
        if last and rows[last.start].head is row.head and number - last.start < most:
            found[-1] = slice(last.start, number + 1)
        else:
            found.append(slice(number, number + 1))
    return found
