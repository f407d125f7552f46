"""Makes the RGB of a TIFF band by band, so that nothing but the finished picture is as large as the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from models.imaging.alpha import over_black
from models.imaging.colours import to_rgb
from models.imaging.errors import nothing_but_image_errors
from models.imaging.orientation import SIDEWAYS, as_stored
from models.imaging.samples import Pixels
from models.imaging.tiff.header import TiffHeader
from models.imaging.tiff.read import meaning, read_bands


def rgb_bands(header: TiffHeader, data: bytes) -> Iterator[tuple[Pixels, Pixels | None]]:
    """RGB (n, W, 3) as stored, from top to bottom, and the opacity (n, W) that it is not laid over black by yet.

    Raises ImageError, once it gets to what is wrong.
    """
    with nothing_but_image_errors():
        for band in read_bands(header, data):
            samples = meaning(header, band)
            colours = meaning(header, band[:, :, : samples.colour_channels])
            yield to_rgb(colours), samples.opacity


def read_rgb(header: TiffHeader, data: bytes) -> Pixels:
    """RGB (H, W, 3) as a viewer shows it, uint8 up to 8 bits and uint16 above. Raises ImageError.

    Opacity is kept until the last band has come: it may hide the whole picture, and is ignored then.
    """
    kind = np.uint8 if header.facts.bits <= 8 else np.uint16
    sides = (header.width, header.height) if header.orientation in SIDEWAYS else (header.height, header.width)
    shown: npt.NDArray[Any] = np.empty((*sides, 3), kind)
    stored = as_stored(shown, header.orientation)
    opacity: npt.NDArray[Any] | None = None
    top = 0
    for rgb, clear in rgb_bands(header, data):
        stored[top : top + len(rgb)] = rgb
        if clear is not None:
            opacity = np.empty((header.height, header.width), kind) if opacity is None else opacity
            opacity[top : top + len(rgb)] = clear
        top += len(rgb)
    if opacity is not None:
        over_black(stored, opacity)
    return shown
