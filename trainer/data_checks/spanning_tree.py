"""Single linkage by the shortest spanning tree: which clusters come about as pictures are joined nearest first.

Prim's algorithm needs one row of distances at a time, so memory grows with the pictures and not with their square.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Merge(NamedTuple):
    """A cluster. `height` is its largest step inside, `outside` the distance to the nearest picture that is not in it.

    `outside` is infinite for the cluster of all.
    """

    members: Indices
    height: float
    outside: float


def merges(rows: Rows) -> list[Merge]:
    """(n, C) -> the n - 1 clusters of single linkage by Euclidean distance, smallest height first."""
    starts, ends, lengths = _tree(rows)
    cluster = {number: -1 for number in range(len(rows))}  # picture -> the merge that it belongs to
    found: list[Merge] = []
    for edge in np.argsort(lengths, kind="stable").tolist():
        height = float(lengths[edge])
        members = []
        for side in (int(starts[edge]), int(ends[edge])):
            inside = cluster[side]
            if inside >= 0:
                found[inside] = found[inside]._replace(outside=height)
            members.append(found[inside].members if inside >= 0 else np.array([side], dtype=np.int64))
        joined = np.concatenate(members)
        cluster.update(dict.fromkeys(joined.tolist(), len(found)))
        found.append(Merge(joined, height, float("inf")))
    return found


def _tree(rows: Rows) -> tuple[Indices, Indices, npt.NDArray[np.float64]]:
    """Starts, ends and lengths (n - 1,) of the shortest tree that joins all rows."""
    count = len(rows)
    squares = (rows**2).sum(axis=1)
    nearest, distance = np.zeros(count, dtype=np.int64), np.full(count, np.inf)
    free = np.ones(count, dtype=bool)
    starts, ends, lengths = np.empty(count - 1, np.int64), np.empty(count - 1, np.int64), np.empty(count - 1)
    current = 0
    for edge in range(count - 1):
        free[current] = False
        to_current = np.maximum(squares + squares[current] - 2 * rows @ rows[current], 0)
        closer = free & (to_current < distance)
        distance[closer], nearest[closer] = to_current[closer], current
        current = int(np.argmin(np.where(free, distance, np.inf)))
        starts[edge], ends[edge], lengths[edge] = nearest[current], current, distance[current] ** 0.5
    return starts, ends, lengths
