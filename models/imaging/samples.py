"""Holds what a reader took from a file, before colours and opacity are applied: raw samples and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.imaging.layouts import Facts, Layout

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Colour = Literal["grey", "rgb", "palette", "cmyk"]


@dataclass(frozen=True)
class Header:
    """What is known of a file before its pixels are decoded. `orientation` is EXIF's, 1 where there is none.

    `significant_bits` is what the file itself says of how many of its bits are used (PNG's sBIT, TIFF's
    MaxSampleValue), None where it says nothing. Whether fewer bits lie at the upper or lower end of a sample is never
    said by a file.
    """

    facts: Facts
    layout: Layout
    width: int
    height: int
    orientation: int = 1
    significant_bits: int | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw values (H, W, C) as the file has them: 0 to 2^bits - 1, uint8 up to 8 bits and uint16 above.

    `colour` says what the first one, three or four channels are; a channel beyond them is opacity. `palette` is
    (N, 3) uint8 and `palette_opacity` (N,) uint8. `transparent` is one raw colour that stands for nothing.
    `inverted` is true where 0 is white (or no ink, for CMYK of an Adobe JPEG the other way round).
    """

    values: npt.NDArray[Any]
    bits: int
    colour: Colour
    inverted: bool = False
    palette: npt.NDArray[np.uint8] | None = None
    palette_opacity: npt.NDArray[np.uint8] | None = None
    transparent: tuple[int, ...] | None = None
    lossy: bool = False

    @property
    def colour_channels(self) -> int:
        """How many of the channels are colour."""
        return {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4}[self.colour]

    @property
    def opacity(self) -> npt.NDArray[Any] | None:
        """The opacity channel (H, W) in raw values, None where there is none."""
        channels = self.colour_channels
        return self.values[:, :, channels] if self.values.shape[2] > channels else None
