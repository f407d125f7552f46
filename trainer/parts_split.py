"""Splits good pictures into those that are trained on and those that calibrate, and counts how many are independent.

A group of near-duplicates stays on one side of the split and counts as one picture (`trainer.data_checks`): held-out
pictures that repeat training pictures, or each other, would promise more than new parts keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from models.backends.base import SourceBackend
from models.calibration.recalibration import ScoresAndMaps
from models.heads.base import Bar
from models.imaging.preprocess import Prepared
from models.sources.registry import SourceSpec
from trainer.activations import SOURCE_BATCH
from trainer.data import DataError, split
from trainer.data_checks.group_split import folds_by_group, split_by_group
from trainer.data_checks.near_duplicates import (
    Features,
    Labels,
    groups_by_name,
    independent_count,
    near_duplicate_groups,
)
from trainer.data_checks.pooled import PooledMeans

DEEPEST = 2  # taps by whose means pictures are compared: what is shown, less than how it is lit


class PartsSplit(NamedTuple):
    """Indices of the pictures (for training, held out), each in order; `labels` (n,) are group numbers of all.

    By `folds` all are for training and none is held out; each is in one of the folds.
    """

    training: list[int]
    held_out: list[int]
    labels: Labels
    grouped: bool  # whether groups were looked for
    folds: tuple[list[int], ...] = ()

    @property
    def independent_trained(self) -> int:
        """Groups among the training pictures."""
        return independent_count(self.labels[self.training])

    @property
    def independent_held_out(self) -> int:
        """Groups among the held-out pictures."""
        return independent_count(self.labels[self.held_out])

    def groups(self, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The names of each group of two or more."""
        return groups_by_name(self.labels, names)


def group_taps(source: SourceSpec) -> tuple[str, ...]:
    """The taps whose means make the features of `split_parts`."""
    return tuple(source.taps)[-DEEPEST:]


def features_of(images: Iterable[Prepared], backend: SourceBackend, taps: Sequence[str], bar: Bar) -> Features:
    """Images (3, S, S) -> PooledMeans.features, by a source pass of their own."""
    pooled, left, done = PooledMeans(taps), iter(images), 0
    while batch := list(islice(left, SOURCE_BATCH)):
        pooled.add(backend.activations(torch.from_numpy(np.stack(batch)), pooled.taps))
        done += len(batch)
        bar.update(done)
    return pooled.features()


def of_pictures(of_views: Features, count: int) -> Features:
    """Features (n * count, C) of the views of n pictures -> (n, C), the mean over each picture's."""
    found: Features = of_views.reshape(-1, count, of_views.shape[1]).mean(axis=1)
    return found


def split_parts(count: int, hold_out: float, seed: int, features: Features | None) -> PartsSplit:
    """`features` (count, C) of the pictures, or None to split at random. Raises DataError for too few scenes."""
    if features is None:
        return PartsSplit(*split(count, hold_out, seed), np.arange(count), grouped=False)
    labels = near_duplicate_groups(features)
    try:
        return PartsSplit(*split_by_group(labels, hold_out, seed), labels, grouped=True)
    except ValueError as error:
        raise DataError(f"{error} (--split random takes each picture for an independent one)") from error


def parts_in_folds(count: int, folds: int, seed: int, features: Features | None) -> PartsSplit:
    """As split_parts, with all pictures for training and `folds` folds of them, fewer where there are fewer scenes."""
    labels: Labels = np.arange(count) if features is None else near_duplicate_groups(features)
    try:
        found = folds_by_group(labels, folds, seed)
    except ValueError as error:
        raise DataError(f"{error} (--split random takes each picture for an independent one)") from error
    return PartsSplit(list(range(count)), [], labels, grouped=features is not None, folds=found)


def worst_of_groups(judged: ScoresAndMaps, labels: Labels) -> ScoresAndMaps:
    """Scores (n,) and maps (n, S, S) of pictures with those group numbers -> one entry for each group.

    A group counts with its highest score and the maximum of its maps. Groups come in order of their first picture.
    """
    order = list(dict.fromkeys(labels.tolist()))
    rows = [np.flatnonzero(labels == label) for label in order]
    return ScoresAndMaps(
        np.array([judged.scores[of_group].max() for of_group in rows], dtype=np.float32),
        np.stack([judged.maps[of_group].max(axis=0) for of_group in rows]),
    )
