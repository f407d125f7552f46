"""Runs the source over the good pictures, splits them, and fits the method to those that are trained on.

By folds it is first fitted to all folds but one, for each of them: these heads judge the pictures that they have not
seen, and are thrown away.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from models.backends.base import SourceBackend, SourceKey
from models.heads.base import FitRun, GoodParts, Head, to_device
from models.heads.parts.member_run import MemberRun
from models.heads.per_tile.fit import fit_per_tile
from models.heads.registry import method_of
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Prepared
from models.sources.registry import SourceSpec, spec_of
from trainer.activations import ActivationStore, bytes_per_image
from trainer.augment import augmented_images, picture_numbers
from trainer.config import TrainingSettings
from trainer.data import DataError, prepared_images
from trainer.data_checks.near_duplicates import Features
from trainer.data_checks.pooled import PooledMeans
from trainer.fit_run import Display, TrainingRun
from trainer.fold_display import FoldDisplay
from trainer.good_parts import StoredParts
from trainer.group_fit import fit_groups
from trainer.parts_split import PartsSplit, features_of, group_taps, of_pictures, parts_in_folds, split_parts
from trainer.same_part import NOT_TOLD_APART, consequence
from trainer.training_set import TrainingSet

OfFold = Callable[[Head, Sequence[int]], None]  # a head, frozen and on the device, and the pictures it has not seen


@dataclass(frozen=True)
class Fitting:
    """What a fit works with: pictures, settings, the source, and where the cache and checkpoints lie."""

    found: TrainingSet
    settings: TrainingSettings
    views: PictureViews
    backend: SourceBackend
    source: SourceKey
    device: torch.device
    work: Path
    cache_limit_bytes: int
    display: Display

    @property
    def spec(self) -> SourceSpec:
        """The source's taps."""
        return spec_of(self.source.source)

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that the method reads."""
        method = self.settings.method
        return method_of(method.method).needs(method, self.spec).taps

    def fit(self, of_fold: OfFold) -> tuple[Head, dict[str, object], PartsSplit]:
        """The fitted head, frozen and on the device, what the method has noted, and the split.

        By folds `of_fold` is called with the head of each fold before.
        """
        settings = self.settings
        with ExitStack() as opened:
            started = time.monotonic()
            parts, split = self._parts(opened)
            passed = time.monotonic()
            self._tell_split(split)
            name = settings.method.method
            for number in range(len(split.folds)):
                self._fit_fold(parts, split, number, of_fold)
            passed_to_all = time.monotonic()
            run = TrainingRun(self.device, settings.seed, self.display, self.work, self._fingerprint(split.training))
            if words := consequence(settings.augmentation.same):
                self.display.say(f"beware: {words}")
                run.note(NOT_TOLD_APART, words)
            head = self.fit_to(parts, run)
            self.display.say(
                f"source pass {passed - started:.1f} s, {name} fitted in {time.monotonic() - passed_to_all:.1f} s"
            )
            return to_device(head, self.device), run.notes, split

    def _tell_split(self, split: PartsSplit) -> None:
        trained, folds = len(split.training), len(split.folds)
        self.display.say(
            f"{trained} images to train on, and to calibrate with by {folds} folds: {self.settings.method.method} is "
            f"fitted {folds + 1} times, and {trained} images are judged"
            if folds
            else f"{trained} images to train on, {len(split.held_out)} held out for calibration only"
        )
        groups = split.groups(self.found.names)
        if split.grouped and not groups:
            self.display.say("no near-duplicates among them")
        elif split.grouped:
            held_out = "" if folds else f" to train on, {split.independent_held_out} held out"
            self.display.say(
                f"beware: near-duplicates: {len(groups)} scenes are there in several images "
                f"({', '.join(groups[0][:3])}, ...). They count once: {split.independent_trained} independent "
                f"images{held_out}"
            )

    def _fit_fold(self, parts: StoredParts, split: PartsSplit, number: int, of_fold: OfFold) -> None:
        """Fits to all folds but that one, and hands the head on with the pictures of that one."""
        unseen, began = split.folds[number], time.monotonic()
        aside, each = set(unseen), self.views.count * self.settings.augmentation.images_of_each
        seen = [index for index in split.training if index not in aside]
        name = f"fold {number + 1} of {len(split.folds)}"
        run = TrainingRun(
            *(self.device, self.settings.seed, FoldDisplay(self.display, name), self.work),
            fingerprint=self._fingerprint(seen),
            prefix=f"fold-{number + 1}-",
        )
        with ExitStack() as opened:
            rows = [row for row in range(parts.count) if row // each not in aside]
            head = self.fit_to(parts.subset(rows, opened), MemberRun(run, name, quiet=True))
        fitted = time.monotonic()
        if run.trains and number == 0:
            self.display.say(f"beware: it trains step by step: {len(split.folds) + 1} trainings in place of one")
        of_fold(to_device(head, self.device), unseen)
        self.display.say(
            f"{name}: fitted to {len(seen)} images in {fitted - began:.1f} s, {len(unseen)} others judged in "
            f"{time.monotonic() - fitted:.1f} s"
        )

    def fit_to(self, parts: GoodParts, run: FitRun) -> Head:
        """The method's head; where parts have groups of channels, one for each of them. `parts` are all their views.

        Raises DataError where tiles, or tiles of groups, cannot have heads of their own.
        """
        config, groups = self.settings.method, self.views.preprocessing.groups
        method, each = method_of(config.method), self.settings.augmentation.images_of_each
        own_tiles = self.settings.tile_heads == "own" and self.views.per_group > 1
        if groups and own_tiles:
            raise DataError("each group of channels has a head for all its tiles: take --tile-heads shared")
        if groups:
            return fit_groups(method, config, parts, groups, self.views.per_group * each, run)
        if not own_tiles:
            return method.fit(config, parts, run)
        try:
            return fit_per_tile(method, config, parts, run, self.views.count, each)
        except ValueError as error:
            raise DataError(str(error)) from error

    def _parts(self, opened: ExitStack) -> tuple[StoredParts, PartsSplit]:
        """The training pictures with their activations, and the split.

        Groups are found by the activations of all pictures. Where the training pictures are not changed, all of them
        go through the source once, and what is held out stays in the cache unread.
        """
        grouped, varies = self.settings.split == "groups", self.settings.augmentation.varies
        if grouped and not varies:
            pooled = PooledMeans(group_taps(self.spec))
            count = len(self.found.files) * self.views.count
            store = self._filled(opened, count, self.images(range(len(self.found.files))), pooled)
            split = self._split(of_pictures(pooled.features(), self.views.count))
            return StoredParts(store, self._rows(split.training), self.device, opened), split
        split = self._split(self._features() if grouped else None)
        augmentation, files = self.settings.augmentation, self._files(split.training)
        numbers = picture_numbers(len(files), self.views.count, augmentation)
        if varies:
            self._tell_cost(len(files), len(numbers))
        images = augmented_images(files, self.views, augmentation, self.settings.seed)
        store = self._filled(opened, len(numbers), images)
        return StoredParts(store, range(len(numbers)), self.device, opened, numbers), split

    def _split(self, features: Features | None) -> PartsSplit:
        count, settings = len(self.found.files), self.settings
        if settings.calibrate_by == "folds":
            return parts_in_folds(count, settings.folds, settings.seed, features)
        return split_parts(count, settings.hold_out, settings.seed, features)

    def _filled(
        self, opened: ExitStack, count: int, images: Iterator[Prepared], pooled: PooledMeans | None = None
    ) -> ActivationStore:
        store = opened.enter_context(
            ActivationStore(
                *(count, self.settings.image_size, self.backend, self.spec, self.taps),
                folder=self.work,
                limit_bytes=self.cache_limit_bytes,
            )
        )
        if not store.cached:
            self.display.say("the activations do not fit the cache limit: the source runs again for every step (slow)")
        with self.display.bar("source activations", count) as bar:
            store.fill(images, bar.update, pooled)
        return store

    def _features(self) -> Features:
        """By a pass of their own over the pictures as they are."""
        count = len(self.found.files) * self.views.count
        with self.display.bar("looking for near-duplicates", count) as bar:
            images = self.images(range(len(self.found.files)))
            of_views = features_of(images, self.backend, group_taps(self.spec), bar)
        return of_pictures(of_views, self.views.count)

    def _rows(self, pictures: Sequence[int]) -> list[int]:
        """Where the views of these pictures lie in a store of all."""
        count = self.views.count
        return [picture * count + view for picture in pictures for view in range(count)]

    def images(self, indices: Sequence[int]) -> Iterator[Prepared]:
        """The views of these pictures, in order."""
        return prepared_images(self._files(indices), self.views)

    def _files(self, indices: Sequence[int]) -> tuple[Path, ...]:
        return tuple(self.found.files[index] for index in indices)

    def _tell_cost(self, images: int, count: int) -> None:
        size = count * bytes_per_image(self.settings.image_size, self.spec, self.taps) / 2**30
        self.display.say(
            f"augmentation makes {self.settings.augmentation.images_of_each} variants of each image once: the source "
            f"runs over {count} images instead of {images} and the cache takes {size:.1f} GiB"
        )

    def _fingerprint(self, training: Sequence[int]) -> str:
        regions = self.views.regions.sha256 if self.views.regions is not None else ""
        text = f"{self.settings.model_dump_json()} {self.found.sha256} {self.source} {list(training)}{regions}"
        return hashlib.sha256(text.encode()).hexdigest()
