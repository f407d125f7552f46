"""Pictures that show one scene again (bursts, video frames, copies), found by their activations.

Held-out pictures that nearly repeat training pictures are not exchangeable with new parts: a threshold counted on them
promises too much. So each group of near-duplicates stays on one side of the split and counts as one picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.data_checks.spanning_tree import Merge, members, merges

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
PAIR_ISOLATION = 2.5  # two pictures are near-duplicates if others are so many times farther from them
COMPACT = 0.5  # a group is no wider (median distance) than so much of the set's wide distances
WIDE = 0.75  # quantile of the distances of two pictures of the set that counts as wide
SAMPLED = 1000  # pictures among which wide distances, and a group's own, are looked at
SAME = 1e-4  # of the wide distance: no farther from each other than rounding


def isolation(size: int) -> float:
    """How many times farther the nearest other picture is than a group's own largest step, for a group of that size.

    1 + 1.5 / cbrt(size - 1): two of many pictures lie close by chance, many hardly do.
    """
    return float(1 + (PAIR_ISOLATION - 1) / np.cbrt(size - 1))


def near_duplicate_groups(features: Features) -> Labels:
    """(n, C) features, one row a picture -> (n,) group numbers from 0, in order of first occurrence.

    Pictures are joined by single linkage. Of the clusters that come about, the largest are taken that stand apart (the
    nearest other picture is `isolation` times farther than any step inside) and are compact. Every scale is the set's
    own. A set that is a single scene altogether is no group: nothing in it says how other scenes would look.
    """
    count = len(features)
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(f"features must be (n, C) and finite; got shape {features.shape}")
    labels: Labels = np.full(count, -1, dtype=np.int64)
    if count > 2:
        rows = np.asarray(features, dtype=np.float64) - features.mean(axis=0, dtype=np.float64)
        wide = _quantile(rows, WIDE)
        steps = merges(rows)
        for number in range(len(steps) - 1, -1, -1):  # from the largest cluster down
            step = steps[number]
            if labels[step.first] >= 0 or not _stands_apart(step, wide):
                continue
            inside = members(steps, number)
            if step.height <= SAME * wide or _quantile(rows[inside], 0.5) <= COMPACT * wide:
                labels[inside] = number
    elif count == 2 and np.array_equal(features[0], features[1]):
        labels[:] = 0
    alone = labels < 0
    labels[alone] = count + np.flatnonzero(alone)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)


def independent_count(labels: Labels) -> int:
    """How many pictures there really are: one for each group."""
    return len(np.unique(labels))


def groups_by_name(labels: Labels, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """(n,) group numbers and the pictures' names -> the names of each group of two or more."""
    members: dict[int, list[str]] = {}
    for label, name in zip(labels.tolist(), names, strict=True):
        members.setdefault(label, []).append(name)
    return tuple(tuple(one) for one in members.values() if len(one) > 1)


def _stands_apart(step: Merge, wide: float) -> bool:
    """The cluster of all never does, unless all of it is the same."""
    apart = np.isfinite(step.outside) and step.outside >= isolation(step.size) * step.height
    return bool(apart or step.height <= SAME * wide)


def _quantile(rows: npt.NDArray[np.float64], share: float) -> float:
    """Of the distances between two of the rows, or of SAMPLED rows spread evenly over them."""
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED)).astype(int)]
    squares = (chosen**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * chosen @ chosen.T, 0)
    return float(np.sqrt(np.quantile(distances[np.triu_indices(len(chosen), 1)], share)))
