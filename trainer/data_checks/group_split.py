"""Which pictures are trained on and which are held out, or the folds: no near-duplicates are parted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data_checks.near_duplicates import Labels

OVERSHOOT = 1.5  # a group that would make the held-out part larger than so many times the wish stays in training


def split_by_group(labels: Labels, hold_out: float, seed: int) -> tuple[list[int], list[int]]:
    """(n,) group numbers -> indices (for training, held out), each in order.

    Groups are drawn by seed until `hold_out` of the pictures, and at least 2 groups, are held out. Where every picture
    is a group of its own this is trainer.data.split. Raises ValueError for fewer than 3 groups: with one group held out
    nothing can be said of the spread between groups, and one at least must be trained on.
    """
    count, groups = len(labels), len(np.unique(labels))
    if groups < 3:
        raise ValueError(
            f"{count} pictures are near-duplicates of {groups} scenes: at least 3 scenes are needed, one to train on "
            "and two to hold out; take pictures of more parts, or split them by hand"
        )
    wished = max(2, round(hold_out * count))
    order = np.random.default_rng(seed).permutation(count)
    drawn = _drawn(labels, labels[order].tolist(), wished, groups)
    held = np.isin(labels, drawn)
    return np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist()


def folds_by_group(labels: Labels, count: int, seed: int) -> tuple[list[int], ...]:
    """(n,) group numbers -> `count` folds of indices, each in order; fewer where there are fewer groups.

    Groups are taken by size, those of one size in an order drawn by seed, each into the fold with the fewest pictures.
    Raises ValueError for fewer than 3 groups, as split_by_group.
    """
    groups = len(np.unique(labels))
    if groups < 3:
        raise ValueError(
            f"{len(labels)} pictures are near-duplicates of {groups} scenes: at least 3 scenes are needed, two to "
            "train on and one to judge by turns; take pictures of more parts"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    queue = list(dict.fromkeys(labels[order].tolist()))
    sizes = np.bincount(labels)
    folds: list[list[int]] = [[] for _ in range(min(count, groups))]
    for group in sorted(queue, key=lambda group: -sizes[group]):
        min(folds, key=len).extend(np.flatnonzero(labels == group).tolist())
    return tuple(sorted(fold) for fold in folds)


def _drawn(labels: Labels, order: Sequence[int], wished: int, groups: int) -> list[int]:
    """Group numbers to hold out, in the order in which their first picture is drawn."""
    sizes = dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))
    queue = list(dict.fromkeys(order))
    taken: list[int] = []
    pictures = 0
    for group in queue:
        if pictures >= wished:
            break
        if pictures + sizes[group] <= OVERSHOOT * wished and len(taken) < groups - 1:
            taken.append(group)
            pictures += sizes[group]
    for group in sorted(queue, key=lambda group: sizes[group]):  # large groups only: the smallest of them
        if len(taken) >= 2:
            break
        if group not in taken:
            taken.append(group)
    return taken
