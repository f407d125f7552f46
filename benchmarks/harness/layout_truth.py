"""Says by numpy alone what RGB a picture of known raw samples must give: the reference for every layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
# What the EXIF standard says a viewer has to do to the stored rows and columns.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def shown(colours: Values, bits: int, *, inverted: bool = False, opacity: Values | None = None) -> Values:
    """Raw colours (H, W, 1 or 3) -> RGB (H, W, 3): below 8 bits stretched, above as they are, over black."""
    most = 2**bits - 1
    values = (most - colours if inverted else colours).astype(np.float64)
    if bits < 8:
        values = values * 255 / most
    if opacity is not None and np.mean(opacity <= most / 255) < 0.99:
        values = values * opacity[:, :, None] / most
    rgb = np.broadcast_to(values, (*values.shape[:2], 3))
    return np.floor(rgb + 0.5).astype(np.uint8 if bits <= 8 else np.uint16)


def from_palette(indices: Values, palette: Values, opacities: Values | None = None) -> Values:
    """Indices (H, W, 1) and a palette (N, 3) of 8 bits -> RGB."""
    rgb = palette[indices[:, :, 0]].astype(np.uint8)
    return rgb if opacities is None else shown(rgb, 8, opacity=opacities[indices[:, :, 0]])


def from_inks(inks: Values, bits: int) -> Values:
    """CMYK (H, W, 4), 0 no ink -> RGB."""
    white = 2**bits - 1
    light = white - inks.astype(np.float64)
    found: Values = np.floor(light[:, :, :3] * light[:, :, 3:] / white + 0.5).astype(
        np.uint8 if bits == 8 else np.uint16
    )
    return found


def turned(rgb: Values, orientation: int) -> Values:
    """As stored -> as shown."""
    return np.asarray(TURNS.get(orientation, TURNS[1])(rgb))
