"""Single linkage by the shortest spanning tree: which clusters come about as pictures are joined nearest first.

Prim's algorithm needs one row of distances at a time: beyond MATRIX_ROWS they are computed as they are needed, so that
memory does not grow with the square of the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MATRIX_ROWS = 8000  # up to so many rows all squared distances are computed at once, in 256 MB at most


class Merge(NamedTuple):
    """A cluster of `size` rows made of two `parts`: a number below n is a row, n + k is the k-th merge.

    `height` is its largest step inside, `outside` the distance to the nearest row that is not in it, infinite for the
    cluster of all. `first` is one of its rows.
    """

    parts: tuple[int, int]
    size: int
    first: int
    height: float
    outside: float


def merges(rows: Rows) -> list[Merge]:
    """(n, C) -> the n - 1 clusters of single linkage by Euclidean distance, smallest height first."""
    count = len(rows)
    starts, ends, lengths = _tree(rows)
    above = np.arange(2 * count - 1)  # cluster -> the one that it became part of, or itself
    found: list[Merge] = []
    for edge in np.argsort(lengths, kind="stable").tolist():
        height = float(lengths[edge])
        left, right = (_top(above, int(side)) for side in (starts[edge], ends[edge]))
        above[[left, right]] = count + len(found)
        size = 0
        for part in (left, right):
            if part >= count:
                found[part - count] = found[part - count]._replace(outside=height)
            size += found[part - count].size if part >= count else 1
        first = found[left - count].first if left >= count else left
        found.append(Merge((left, right), size, first, height, float("inf")))
    return found


def members(steps: Sequence[Merge], number: int) -> Indices:
    """The rows of the merge of that number."""
    count = len(steps) + 1
    open_parts, found = list(steps[number].parts), []
    while open_parts:
        part = open_parts.pop()
        if part < count:
            found.append(part)
        else:
            open_parts += steps[part - count].parts
    return np.asarray(found, dtype=np.int64)


def _top(above: Indices, cluster: int) -> int:
    top = cluster
    while above[top] != top:
        top = int(above[top])
    while above[cluster] != top:  # the next search is short
        above[cluster], cluster = top, int(above[cluster])
    return top


def _tree(rows: Rows) -> tuple[Indices, Indices, npt.NDArray[np.float64]]:
    """Starts, ends and lengths (n - 1,) of the shortest tree that joins all rows."""
    count = len(rows)
    squares_from = _squared_distances(rows)
    nearest, distance = np.zeros(count, dtype=np.int64), np.full(count, np.inf)
    free = np.ones(count, dtype=bool)
    starts, ends, lengths = np.empty(count - 1, np.int64), np.empty(count - 1, np.int64), np.empty(count - 1)
    current = 0
    for edge in range(count - 1):
        free[current] = False
        to_current = squares_from(current)
        closer = free & (to_current < distance)
        distance[closer], nearest[closer] = to_current[closer], current
        current = int(np.argmin(np.where(free, distance, np.inf)))
        starts[edge], ends[edge], lengths[edge] = nearest[current], current, distance[current] ** 0.5
    return starts, ends, lengths


def _squared_distances(rows: Rows) -> Callable[[int], npt.NDArray[np.floating]]:
    """Row number -> (n,) squared distances from it to every row."""
    squares = (rows**2).sum(axis=1)
    if len(rows) > MATRIX_ROWS:
        return lambda row: np.maximum(squares + squares[row] - 2 * rows @ rows[row], 0)
    matrix = np.empty((len(rows), len(rows)), dtype=np.float32)
    for start in range(0, len(rows), 512):
        part = slice(start, start + 512)
        matrix[part] = np.maximum(squares[part, None] + squares - 2 * rows[part] @ rows.T, 0)
    return lambda row: matrix[row]
