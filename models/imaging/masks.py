"""Reads mask files: which pixels of a defective picture are its defect, whatever program drew them.

- Any value above 0 in any colour channel is defect: 0 and 1, labels 0 to 255, 16 bits, coloured layers.
- A palette's index decides, not its colour: index 0 is background.
- An opacity channel that varies decides with the colours: what is clear is background. Where the colours are
  all equal, it decides alone (a layer drawn on clear ground).
- Lossy files have no exact 0: there a value above half of the brightest is defect.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.imaging.decode import read_header, read_samples
from models.imaging.limits import ImageLimits
from models.imaging.orientation import oriented
from models.imaging.samples import Samples

Mask = npt.NDArray[np.bool_]
INVERTED_SHARE = 0.5  # of a picture: defects that cover more are taken for background


def read_mask(data: bytes, limits: ImageLimits | None = None) -> Mask:
    """The bytes of a mask file -> (H, W), true where the defect is, turned as a viewer shows it. Raises ImageError."""
    header = read_header(data, limits)
    samples = read_samples(header, data)
    return np.asarray(oriented(_defect(samples), header.orientation), dtype=np.bool_)


def _defect(samples: Samples) -> Mask:
    colours = samples.values[:, :, : samples.colour_channels]
    if samples.inverted != (samples.colour == "cmyk"):  # turned so that 0 is black
        colours = 2**samples.bits - 1 - colours
    if samples.colour == "cmyk":  # light passes where neither an ink nor black holds it back
        colours = np.minimum(colours[:, :, :3], colours[:, :, 3:])
    cut = int(colours.max()) // 2 if samples.lossy else 0
    drawn: Mask = np.asarray((colours > cut).any(axis=2))
    opacity = samples.opacity
    if samples.transparent is not None:
        opacity = (samples.values != np.asarray(samples.transparent)).any(axis=2).astype(np.uint8)
    if opacity is None or opacity.min() == opacity.max():
        return drawn
    opaque: Mask = opacity > 0
    same = bool((colours == colours[0, 0]).all())
    return opaque if same else drawn & opaque


def looks_inverted(masks: Iterable[Mask]) -> bool:
    """Whether most masks call more than half of their picture defect: black was drawn on white, most likely."""
    shares = [float(mask.mean()) for mask in masks]
    return bool(shares) and sum(share > INVERTED_SHARE for share in shares) * 2 > len(shares)
