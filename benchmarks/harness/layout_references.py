"""Asks other decoders (Pillow, OpenCV, tifffile) for the RGB of a file, as each of them understands it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps

from benchmarks.harness.layout_truth import from_inks, shown, turned

Values = npt.NDArray[Any]
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def references(data: bytes) -> dict[str, Values]:
    """Each decoder's RGB (H, W, 3) as shown, 8 or 16 bits, over black; those that refuse are left out."""
    found: dict[str, Values] = {}
    for name, decoder in (("Pillow", by_pillow), ("OpenCV", by_opencv), ("tifffile", by_tifffile)):
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            found[name] = decoder(data)
    return found


def by_pillow(data: bytes) -> Values:
    """Pillow's own conversion; 16-bit grey as it is."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            return three(np.asarray(image).astype(np.uint16))
        if image.mode in {"RGBA", "LA"} or "transparency" in image.info:
            return over_black(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))


def by_opencv(data: bytes) -> Values:
    """OpenCV without conversion of depth; it turns TIFF by its tag and nothing else."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("OpenCV refuses it")
    if decoded.ndim == 2:
        return three(np.asarray(decoded))
    return over_black(np.asarray(decoded[:, :, [2, 1, 0, 3]])) if decoded.shape[2] == 4 else decoded[:, :, ::-1]


def by_tifffile(data: bytes) -> Values:
    """tifffile's raw samples, with photometric interpretation and orientation applied here."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        raw = page.asarray()
        if page.planarconfig == 2 and raw.ndim == 3:
            raw = np.moveaxis(raw, 0, -1)
        raw = raw if raw.ndim == 3 else raw[:, :, None]
        bits, photometric = page.bitspersample, page.photometric
        if photometric == 3:
            rgb = (np.asarray(page.colormap).T >> 8).astype(np.uint8)[raw[:, :, 0]]
        elif photometric in (0, 1):
            grey = raw[:, :, :1].astype(np.int64)
            grey = 2**bits - 1 - grey if photometric == 0 else grey
            grey = grey * (255 // (2**bits - 1)) if bits < 8 else grey
            rgb = np.repeat(grey, 3, axis=2).astype(np.uint8 if bits <= 8 else np.uint16)
        elif photometric in (2, 6):
            rgb = raw[:, :, :3] * np.uint8(255 // (2**bits - 1)) if bits < 8 else raw[:, :, :3]
        elif photometric == 5:
            rgb = from_inks(raw[:, :, :4], bits)
        else:
            raise ValueError(f"photometric {photometric} is not interpreted here")
        if tuple(page.extrasamples) == (2,):
            rgb = shown(rgb, bits, opacity=raw[:, :, -1])
        orientation = page.tags[274].value if 274 in page.tags else 1
    return turned(rgb, int(orientation))


def over_black(rgba: Values) -> Values:
    """RGBA (H, W, 4) -> RGB; TIFF's premultiplied colours come as such or divided, by decoder."""
    return shown(rgba[:, :, :3], 8 * rgba.itemsize, opacity=rgba[:, :, 3])


def three(values: Values) -> Values:
    """Grey (H, W) -> (H, W, 3); colours as they are."""
    return np.repeat(values[:, :, None], 3, axis=2) if values.ndim == 2 else values
