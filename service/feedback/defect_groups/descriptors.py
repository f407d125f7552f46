"""Turns a region of a picture into a vector, by the activations of its product's source network.

The region is cut out with a margin, as a square of the picture where there is room, and resized to SIDE pixels. Its
descriptor is the activations of the source's last tap but one, averaged over the crop and of length 1. Two descriptors
are as far apart as 1 - their scalar product: 0 for the same direction, 1 for activations that have nothing in common.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.backends.base import SourceKey
from models.backends.pool import SourcePool
from models.backends.single_threads import limits
from models.imaging.decode import Pixels
from models.imaging.map_picture import eight_bit
from models.imaging.preprocess import resize
from models.sources.registry import spec_of

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the picture
Vector = npt.NDArray[np.float32]
SIDE = 96
MARGIN = 1.5  # sides of the crop by the longer side of the region
SMALLEST = 1 / 8  # of the picture's shorter side: a crop of a few pixels shows nothing of what is around the defect
GOOD_CROPS = 8  # of each good picture
LARGEST_GOOD_CROP = 1 / 2  # of the picture's shorter side
CHANCE = 0.05
LOWEST_PRIORITY = 19


class Descriptors:
    """Makes descriptors; for one thread, which it takes the lowest priority and all cores but one away from.

    `weights` is the file of the source's weights, None for the cache. The network is read at the first descriptor.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights
        self._pool: SourcePool | None = None

    @staticmethod
    def step_back() -> None:
        """Make the calling thread one that leaves the cores to inference."""
        torch.get_num_threads()  # torch sets up a thread at its first use; what is set before that is lost
        for limit in limits():
            limit(1)
        with suppress(OSError, AttributeError):  # not every system has priorities of threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)

    def of(self, key: SourceKey, crops: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """Crops (h, w, 3) uint8 -> (N, C), each row of length 1. Raises SourceWeightsError."""
        if self._pool is None:
            self._pool = SourcePool(torch.device("cpu"), backend="torch", threads=1, weights_file=self._weights)
        backend = self._pool.require(key._replace(precision="float32"))
        tap = tap_of(key)
        found = []
        for crop in crops:  # one by one, so that little memory is held
            image = np.ascontiguousarray(resize(crop, SIDE, 2).transpose(2, 0, 1), np.float32) / np.float32(255)
            mean = backend.activations(torch.from_numpy(image)[None], [tap])[tap].mean(dim=(0, 2, 3)).numpy()
            found.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
        return np.asarray(found, np.float32)


def tap_of(key: SourceKey) -> str:
    """The last tap but one: of the taps that see shapes and not only texture, the one with the finer grid."""
    return list(spec_of(key.source).taps)[-2]


def space_of(key: SourceKey) -> str:
    """Descriptors of one space can be compared: the source with its weights, the tap, the size of crops."""
    return f"{key.source}/{key.sha256[:12]}/{key.normalisation}/{tap_of(key)}/{SIDE}"


def crop_of(pixels: Pixels, box: Box, white: int) -> npt.NDArray[np.uint8]:
    """The region with its margin, (h, w, 3) uint8; `white` is the level of white in 16-bit pictures."""
    height, width = pixels.shape[:2]
    shorter = min(width, height)
    side = min(shorter, max(round(MARGIN * max(box[2:])), round(SMALLEST * shorter), 1))
    left = min(max(0, box[0] + (box[2] - side) // 2), width - side)
    top = min(max(0, box[1] + (box[3] - side) // 2), height - side)
    rows, columns = slice(top, top + side), slice(left, left + side)
    if pixels.dtype == np.uint8:
        return np.asarray(pixels[rows, columns], np.uint8)
    return eight_bit(np.asarray(pixels[rows, columns], np.uint16), white)


def good_crops(pixels: Pixels, white: int, random: np.random.Generator) -> list[npt.NDArray[np.uint8]]:
    """GOOD_CROPS crops of a good part at random places and of random sizes."""
    height, width = pixels.shape[:2]
    shorter = min(width, height)
    found = []
    for _ in range(GOOD_CROPS):
        side = max(1, round(shorter * random.uniform(SMALLEST, LARGEST_GOOD_CROP) / MARGIN))
        x, y = int(random.integers(width - side + 1)), int(random.integers(height - side + 1))
        found.append(crop_of(pixels, (x, y, side, side), white))
    return found


def good_distance(descriptors: npt.NDArray[np.float32], pictures: Sequence[int]) -> float:
    """The distance within which CHANCE of the pairs of good crops of different pictures lie.

    Two places that have nothing to do with each other are taken for alike that often.

    `pictures` says of which picture each descriptor (N, C) is; two pictures at least.
    """
    of = np.asarray(pictures)
    apart = 1 - descriptors @ descriptors.T
    return float(np.quantile(apart[of[:, None] < of[None, :]], CHANCE))
