"""Keeps the source activations of a study's data sets: computed once, shared by all runs that see the same pictures.

A store holds all good pictures, then the labelled ones, and every tap of the source. Runs share it where data, source,
normalisation and size are equal; the seed only picks other indices. Augmented copies have a store of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from models.backends.base import SourceKey
from models.backends.pool import SourcePool
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.sources.registry import spec_of
from trainer.activations import ActivationStore
from trainer.augment import augmented_images, picture_numbers
from trainer.config import TrainingSettings
from trainer.data import DataError, prepared_images, split
from trainer.figures import Truth, read_truth
from trainer.fit_run import Display
from trainer.good_parts import StoredParts
from trainer.labelled import LabelledImage
from trainer.training_set import TrainingSet


class StoredSet(NamedTuple):
    """One data set as one kind of run sees it. Good image i is number i of `store`, labelled image j len(good) + j."""

    store: ActivationStore
    good: TrainingSet
    truth: Truth

    @property
    def labelled(self) -> range:
        """The store's indices of the labelled images."""
        return range(len(self.good.files), self.store.count)


class TrainingImages(NamedTuple):
    """Images of a store by their indices, with the numbers of the pictures that they are copies of (GoodParts)."""

    store: ActivationStore
    indices: Sequence[int]
    picture_numbers: Sequence[int]

    def parts(self, device: torch.device, opened: contextlib.ExitStack) -> StoredParts:
        """As a method sees them."""
        return StoredParts(self.store, self.indices, device, opened, self.picture_numbers)


class Stores:
    """A context manager that keeps the last plain and the last augmented store open. `folder` holds their files."""

    def __init__(self, pool: SourcePool, folder: Path, limit_bytes: int, display: Display) -> None:
        self._pool = pool
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._display = display
        self._open = contextlib.ExitStack()
        self._plain: tuple[object, StoredSet] | None = None
        self._augmented: tuple[object, ActivationStore] | None = None

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes all files."""
        self._open.close()
        self._plain = self._augmented = None

    def seen(
        self, good: TrainingSet, labelled: Sequence[LabelledImage], source: SourceKey, settings: TrainingSettings
    ) -> StoredSet:
        """The set's activations, from the open store where it is the same."""
        key = (good.sha256, tuple(labelled), source, settings.image_size)
        if self._plain is None or self._plain[0] != key:
            self.close()
            preprocessing = _preprocessing(good, settings)
            truth = read_truth(labelled, PictureViews(preprocessing))
            files = (*good.files, *(image.file for image in truth.images))
            store = self._enter(len(files), source, settings)
            with self._display.bar("source activations", len(files)) as bar:
                store.fill(prepared_images(files, PictureViews(preprocessing)), bar.update)
            self._plain = key, StoredSet(store, good, truth)
        return self._plain[1]

    def training(self, seen: StoredSet, source: SourceKey, settings: TrainingSettings) -> TrainingImages:
        """This seed's training images."""
        chosen, _ = split(len(seen.good.files), settings.hold_out, settings.seed)
        if not settings.augmentation.varies:
            return TrainingImages(seen.store, chosen, range(len(chosen)))
        numbers = picture_numbers(len(chosen), 1, settings.augmentation)
        key = (seen.good.sha256, source, settings.image_size, settings.augmentation, settings.seed, settings.hold_out)
        if self._augmented is None or self._augmented[0] != key:
            if self._augmented is not None:
                self._augmented[1].close()
            files, views = (
                [seen.good.files[index] for index in chosen],
                PictureViews(_preprocessing(seen.good, settings)),
            )
            store = self._enter(len(numbers), source, settings)
            with self._display.bar("source activations, augmented", store.count) as bar:
                store.fill(augmented_images(files, views, settings.augmentation, settings.seed), bar.update)
            self._augmented = key, store
        return TrainingImages(self._augmented[1], range(len(numbers)), numbers)

    def _enter(self, count: int, source: SourceKey, settings: TrainingSettings) -> ActivationStore:
        backend, spec = self._pool.require(source), spec_of(source.source)
        return self._open.enter_context(
            ActivationStore(
                *(count, settings.image_size, backend, spec, tuple(spec.taps)),
                folder=self._folder,
                limit_bytes=self._limit_bytes,
            )
        )


def _preprocessing(good: TrainingSet, settings: TrainingSettings) -> Preprocessing:
    if settings.view != "stretch":
        raise DataError(f"a study keeps one view of each picture, stretched; view = {settings.view!r} is not for it")
    return settings.preprocessing(good.sixteen_bit_white, good.sizes)
