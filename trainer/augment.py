"""Makes the changed copies of training pictures: exact mirrorings and turns, then random turns and scalings of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from models.imaging.errors import ImageError
from models.imaging.exact_changes import EXACT_CHANGES
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Prepared
from trainer.config import Augmentation
from trainer.data import LIMITS, DataError, part_bytes, prepared_images
from trainer.same_part import CHANGES_OF, Same


def augmented_images(
    files: Sequence[Path], views: PictureViews, augmentation: Augmentation, seed: int
) -> Iterator[Prepared]:
    """Picture by picture, in each view by view, `augmentation.images_of_each` images of each. Raises DataError."""
    for number, image in enumerate(same_images(files, views, augmentation.same)):
        yield from variants(image, augmentation, (seed, number))


def same_images(files: Sequence[Path], views: PictureViews, same: Same) -> Iterator[Prepared]:
    """Picture by picture, in each view by view, the view of the picture as it is and of each changed picture.

    The picture is changed and not its view: tiles and regions stay at their places. Raises DataError.
    """
    if same == "none":
        yield from prepared_images(tuple(files), views)
        return
    changes = [EXACT_CHANGES[name] for name in CHANGES_OF[same][1:]]
    for file in files:
        try:
            data = part_bytes(file)
            pictures = [views.prepare_file(data, LIMITS), *views.prepare_changed(data, changes, LIMITS)]
        except ImageError as error:
            raise DataError(f"{file.name}: {error}") from error
        for of_view in zip(*(picture.views for picture in pictures), strict=True):
            yield from of_view


def picture_numbers(pictures: int, views: int, augmentation: Augmentation) -> list[int]:
    """Of each image of `augmented_images` the number of what it is a copy of (see GoodParts): a view of a picture.

    Of a mirrored picture a tile shows what another tile shows of the picture, so then it is the whole picture.
    """
    each = augmentation.images_of_each
    together = each if augmentation.same == "none" else each * views
    return [image // together for image in range(pictures * views * each)]


def variants(image: Prepared, augmentation: Augmentation, seed: tuple[int, int]) -> list[Prepared]:
    """(3, S, S) -> `copies` of them, each turned and scaled about the centre, edges mirrored. `seed` repeats them."""
    if not augmentation.at_random:
        return [image] * augmentation.copies
    random = np.random.default_rng(seed)
    size = image.shape[-1]
    picture = np.ascontiguousarray(image.transpose(1, 2, 0))
    found = []
    for _ in range(augmentation.copies):
        angle = random.uniform(-augmentation.rotation, augmentation.rotation)
        scale = random.uniform(augmentation.scale_low, augmentation.scale_high)
        matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), angle, scale)
        turned = cv2.warpAffine(
            picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        found.append(np.ascontiguousarray(turned.transpose(2, 0, 1), dtype=np.float32))
    return found
