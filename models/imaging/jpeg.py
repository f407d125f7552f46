"""Reads JPEG by libjpeg-turbo in its strict mode: what libjpeg only warns of is damage here.

Pillow and OpenCV drop these warnings and fill what is missing with grey.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import simplejpeg

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.jpeg_markers import Markers, read_markers
from models.imaging.layouts import Facts, layout_of
from models.imaging.limits import JPEG_SCAN_PIXELS, ImageLimits, check_count
from models.imaging.orientation import exif_orientation
from models.imaging.samples import Header, Samples

PROCESSES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
# Luma blocks for one chroma block: those that libjpeg-turbo's own interface knows.
SAMPLINGS = frozenset({(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)})


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """Every segment is walked. Raises ImageError."""
    found = read_markers(data)
    limits.check_size(found.width, found.height)
    process = PROCESSES.get(found.frame, f"process {found.frame - 0xC0} (lossless, hierarchical or arithmetic)")
    facts = Facts("JPEG", colour_of(found), bits=found.precision, compression=process)
    layout = layout_of(facts)
    check_sampling(found)
    if found.pictures > 1:
        raise ImageError(
            "image_multiple_frames",
            f"the file is a multi-picture file (MPO) with {found.pictures} pictures; "
            "save the one that shows the part as a JPEG of its own",
        )
    check_count("times a pixel to visit", found.scans * found.width * found.height, JPEG_SCAN_PIXELS)
    return Header(facts, layout, found.width, found.height, exif_orientation(found.exif))


def colour_of(found: Markers) -> str:
    """The colour space by libjpeg's own rules: JFIF, then Adobe's marker, then the components' names."""
    count = len(found.identities)
    if count == 1:
        return "grey"
    if count == 3:
        if not found.jfif and found.adobe is not None:
            return "RGB" if found.adobe == 0 else "YCbCr"
        return "RGB" if not found.jfif and found.identities == (82, 71, 66) else "YCbCr"
    if count == 4 and found.adobe is not None:
        return "Adobe YCCK" if found.adobe == 2 else "Adobe CMYK"
    return "CMYK without Adobe's marker" if count == 4 else f"{count} components"


def check_sampling(found: Markers) -> None:
    """Raises image_layout_not_supported for chroma grids that libjpeg-turbo does not name."""
    if len(found.sampling) == 1:
        return
    first, others = found.sampling[0], found.sampling[1:]
    if len(others) == 3 and others[2] == first:  # black is sampled as luma is
        others = others[:2]
    chroma = others[0]
    whole = all(chroma) and not (first[0] % chroma[0] or first[1] % chroma[1])
    if any(other != chroma for other in others) or not whole or _ratio(first, chroma) not in SAMPLINGS:
        raise ImageError(
            "image_layout_not_supported",
            f"JPEG with sampling factors {found.sampling} is not taken; send 4:4:4, 4:2:2, 4:4:0, 4:2:0, 4:1:1",
        )


def _ratio(first: tuple[int, int], chroma: tuple[int, int]) -> tuple[int, int]:
    return first[0] // chroma[0], first[1] // chroma[1]


def read_samples(header: Header, data: bytes, least_side: int | None = None) -> Samples:
    """The samples; at 1/2, 1/4 or 1/8 where both sides stay `least_side` or more. Raises ImageError."""
    factor = 1
    if least_side is not None:
        fits = min(header.width, header.height) // least_side
        factor = next((factor for factor in (8, 4, 2) if factor <= fits), 1)
    shape = (-(-header.height // factor), -(-header.width // factor))
    cmyk = "Adobe" in header.facts.colour
    space: Literal["GRAY", "RGB", "CMYK"] = "GRAY" if header.facts.colour == "grey" else "CMYK" if cmyk else "RGB"
    values = strict(data, space, shape)
    colour: Literal["grey", "rgb", "cmyk"] = "grey" if space == "GRAY" else "cmyk" if cmyk else "rgb"
    return Samples(values, 8, colour, inverted=cmyk, lossy=True)  # Adobe writes 255 for no ink


def strict(data: bytes, space: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """A JPEG file -> (H, W, C) of a reduced `shape`, or ImageError for anything that libjpeg warns of."""
    try:
        found = simplejpeg.decode_jpeg(data, colorspace=space, min_height=shape[0], min_width=shape[1])
    except ValueError as error:
        text = str(error)
        raise (truncated if "remature end of JPEG" in text else damaged)(text) from error
    if found.shape[:2] != shape:
        raise damaged(f"{found.shape[:2]} came of it; {shape} was promised")
    return np.asarray(found)
