"""In: one image as it was sent. Out: what the network takes, with the size of the input, or the image's own error."""

from __future__ import annotations

import time
from dataclasses import dataclass

from models.imaging.decode import ImageError, ImageLimits
from models.imaging.preprocess import Prepared, Preprocessing, prepare_file
from service.rest.bodies.received import ReceivedImage


@dataclass(frozen=True)
class Decoded:
    """`image` is (3, S, S) float32; `width` and `height` are the input's pixels; `seconds` the time it took."""

    image: Prepared
    width: int
    height: int
    seconds: float


def decode(received: ReceivedImage, limits: ImageLimits, preprocessing: Preprocessing) -> Decoded:
    """Decode and prepare in one go: of a large image only the network's input stays in memory. Raises ImageError."""
    started = time.perf_counter()
    if received.error is not None:
        raise received.error
    try:
        found = prepare_file(received.data, preprocessing, limits)
    except MemoryError:
        raise ImageError("image_too_many_pixels", "the image does not fit into the memory that is left") from None
    return Decoded(*found, time.perf_counter() - started)
