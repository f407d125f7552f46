"""A training image in, randomly turned and scaled variants of it out."""

from __future__ import annotations

import cv2
import numpy as np

from models.imaging.preprocess import Prepared
from trainer.config import Augmentation


def variants(image: Prepared, augmentation: Augmentation, seed: tuple[int, int]) -> list[Prepared]:
    """(3, S, S) -> `copies` of them, each turned and scaled about the centre, edges mirrored. `seed` repeats them."""
    if not augmentation.varies:
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
