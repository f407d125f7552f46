"""Which part of a product's pictures is looked at: pixels outside never reach the network, the map or the score.

An ignored pixel takes the value of its nearest pixel inside before anything else looks at the picture. So what happens
in an ignored place changes no bit of anything that follows, and there is no edge where the ignored place begins.
"""

from __future__ import annotations

import hashlib
import threading
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError
from models.imaging.masks import Mask, read_mask
from models.imaging.samples import Pixels

SIZES_KEPT = 4  # of pictures that have been seen: a product has one, and that of its golden pictures
A = TypeVar("A", bound=np.generic)


class RegionsError(ValueError):
    """A mask that cannot be used; the text says why."""


class _Fill(NamedTuple):
    """Flat indices into a picture: of its ignored pixels, and of the nearest pixel inside of each."""

    ignored: npt.NDArray[np.int64]
    nearest: npt.NDArray[np.int64]


class Regions:
    """`kept` (H, W) is true where pictures are looked at, in pixels of the camera. Threads may share it.

    A picture of the same shape in another size takes the mask at that size. Raises RegionsError where nothing is kept.
    """

    def __init__(self, kept: Mask) -> None:
        if kept.ndim != 2 or not kept.any():
            raise RegionsError("the mask leaves nothing to look at")
        self.kept = kept
        self._fills: dict[tuple[int, int], _Fill] = {}
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """Pixels of the camera."""
        return int(self.kept.shape[1])

    @property
    def height(self) -> int:
        """Pixels of the camera."""
        return int(self.kept.shape[0])

    @property
    def sha256(self) -> str:
        """Of size and pixels."""
        text = f"{self.width} {self.height} ".encode()
        return hashlib.sha256(text + np.packbits(self.kept).tobytes()).hexdigest()

    @property
    def share(self) -> float:
        """Of the picture that is looked at."""
        return float(self.kept.mean())

    def as_png(self) -> bytes:
        """8 bits, 255 where pictures are looked at."""
        done, data = cv2.imencode(".png", self.kept.astype(np.uint8) * 255)
        if not done:
            raise RegionsError("OpenCV could not write the mask")
        return data.tobytes()

    @classmethod
    def from_png(cls, data: bytes) -> Regions:
        """The file of `as_png`, or any mask that models.imaging.masks reads. Raises ImageError, RegionsError."""
        return cls(read_mask(data))

    def filled(self, pixels: Pixels) -> Pixels:
        """The picture (H, W, 3) with every ignored pixel replaced by its nearest pixel inside; the input is left.

        Raises ImageError (image_size_unexpected) for a picture of another shape than the mask.
        """
        height, width = pixels.shape[:2]
        fill = self._fill(width, height)
        flat = pixels.reshape(height * width, -1)
        out = flat.copy()
        out[fill.ignored] = flat[fill.nearest]
        return out.reshape(pixels.shape)

    def on_map(self, width: int, height: int) -> Mask:
        """(height, width): which places of a map lie inside by half at least, or, where none does, at all."""
        share = cv2.resize(self.kept.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        inside: Mask = np.asarray(share >= 0.5)
        return inside if inside.any() else np.asarray(share > 0)

    def _fill(self, width: int, height: int) -> _Fill:
        with self._lock:
            found = self._fills.get((width, height))
        if found is None:
            found = _nearest_inside(self._at(width, height))
            with self._lock:
                if len(self._fills) >= SIZES_KEPT:
                    self._fills.clear()
                self._fills[width, height] = found
        return found

    def _at(self, width: int, height: int) -> Mask:
        """The mask for pictures of that size: a pixel is kept where all of its area is."""
        if (width, height) == (self.width, self.height):
            return self.kept
        scale = width / self.width
        if abs(self.height * scale - height) > 1 and abs(self.width * height / self.height - width) > 1:
            raise ImageError(
                "image_size_unexpected",
                f"the picture is {width} x {height}, the product's mask {self.width} x {self.height}: send pictures "
                "of that shape, or give the product another mask (mkd-train mask)",
            )
        share = cv2.resize(self.kept.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        kept: Mask = np.asarray(share >= 1 - 1e-6)
        if not kept.any():
            raise ImageError("image_size_unexpected", f"at {width} x {height} the product's mask leaves nothing")
        return kept


def _nearest_inside(kept: Mask) -> _Fill:
    ignored = np.flatnonzero(~kept)
    if not len(ignored):
        return _Fill(ignored, ignored)
    _, labels = cv2.distanceTransformWithLabels(
        (~kept).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(kept)
    place = np.zeros(int(labels.max()) + 1, np.int64)  # of each pixel inside, by its label
    flat = labels.ravel()
    place[flat[inside]] = inside
    return _Fill(ignored, place[flat[ignored]])


def masked_map(anomaly_map: npt.NDArray[np.float32], regions: Regions) -> tuple[npt.NDArray[np.float32], float]:
    """A map (h, w) of a whole picture -> the same with its ignored places at the median of the others, and its peak."""
    inside = regions.on_map(anomaly_map.shape[1], anomaly_map.shape[0])
    values = anomaly_map[inside]
    quiet = np.where(inside, anomaly_map, np.float32(np.median(values)))
    return quiet, float(values.max())
