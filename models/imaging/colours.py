"""Turns raw samples into the RGB that a viewer shows, and their opacity, laid over black where it means something."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.imaging.alpha import over_black
from models.imaging.samples import Pixels, Samples

STRIP_PIXELS = 2**18  # converted at a time, so that no intermediate is as large as the picture


def to_rgb(samples: Samples) -> Pixels:
    """Raw samples -> RGB (H, W, 3), uint8 up to 8 bits and uint16 above. The samples may be written over."""
    if samples.colour == "palette":
        return _from_palette(samples)
    if samples.colour == "cmyk":
        return _from_cmyk(samples)
    colours = _in_range(samples.values[:, :, : samples.colour_channels], samples)
    opacity = samples.opacity
    if samples.transparent is not None:
        named = np.asarray(samples.transparent, samples.values.dtype)
        clear = np.all(samples.values[:, :, : samples.colour_channels] == named, axis=2)
        opacity = np.where(clear, 0, np.iinfo(colours.dtype).max).astype(colours.dtype)
    rgb = np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours
    return rgb if opacity is None else over_black(np.ascontiguousarray(rgb), opacity)


def stretched(samples: Samples) -> Pixels:
    """All channels (H, W, N) of raw samples, as `to_rgb` gives the colours among them."""
    return _in_range(samples.values, samples)


def _in_range(values: npt.NDArray[Any], samples: Samples) -> npt.NDArray[Any]:
    """Up to 4 bits to 0..255; more bits stay as they are. White is the highest value afterwards."""
    most = 2**samples.bits - 1
    if samples.inverted:
        values = values.dtype.type(most) - values
    return values * np.uint8(255 // most) if samples.bits < 8 else values


def _from_palette(samples: Samples) -> Pixels:
    assert samples.palette is not None
    indices = samples.values[:, :, 0]
    rgb: npt.NDArray[np.uint8] = samples.palette[indices]
    if samples.palette_opacity is None:
        return rgb
    return over_black(rgb, samples.palette_opacity[indices])


def _from_cmyk(samples: Samples) -> Pixels:
    """(white - ink) (white - black) / white, rounded."""
    white = 2**samples.bits - 1
    height, width = samples.values.shape[:2]
    out = np.empty((height, width, 3), samples.values.dtype)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        inks = samples.values[top : top + step].astype(np.uint32)
        light = inks if samples.inverted else white - inks
        out[top : top + step] = (light[:, :, :3] * light[:, :, 3:] + white // 2) // white
    return out
