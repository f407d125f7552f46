"""EXIF orientation: the image is judged as a viewer shows it, whatever its format and depth."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.imaging.decode import decode_image

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(3)
COLOUR8: npt.NDArray[np.uint8] = RANDOM.integers(0, 256, (20, 13, 3), dtype=np.uint8)
COLOUR16: npt.NDArray[np.uint16] = RANDOM.integers(0, 65536, (20, 13, 3), dtype=np.uint16)
GREY16 = COLOUR16[:, :, 0]

# What the EXIF standard says a viewer has to do to the stored rows and columns.
AS_SHOWN: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}
ORIENTATIONS = pytest.mark.parametrize("orientation", sorted(AS_SHOWN))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sixteen_bit_png(array: npt.NDArray[np.uint16], orientation: int) -> bytes:
    """OpenCV's PNG with an eXIf chunk put in after IHDR, which ends at byte 33."""
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(array[:, :, ::-1] if array.ndim == 3 else array))
    assert done
    data, tags = encoded.tobytes(), exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(tags)) + b"eXIf" + tags + struct.pack(">I", zlib.crc32(b"eXIf" + tags))
    return data[:33] + chunk + data[33:]


def sixteen_bit_tiff(array: npt.NDArray[np.uint16], orientation: int) -> bytes:
    """An uncompressed little-endian RGB TIFF written by hand: no library at hand writes the tag at 16 bits a colour."""
    height, width, channels = array.shape
    pixels = array.astype("<u2").tobytes()
    count = 10
    bits_at = 8 + 2 + 12 * count + 4
    entries = [  # tag, type (3 short, 4 long), count, value
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 1, bits_at + 2 * channels), (274, 3, 1, orientation), (277, 3, 1, channels)),
        *((278, 3, 1, height), (279, 4, 1, len(pixels))),
    ]
    assert len(entries) == count
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    bits = struct.pack(f"<{channels}H", *[16] * channels)
    return b"II*\0" + struct.pack("<IH", 8, count) + directory + b"\0\0\0\0" + bits + pixels


@ORIENTATIONS
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_eight_bit_image_is_turned_as_its_tag_says(kind: str, orientation: int) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.fromarray(COLOUR8), kind, exif=exif(orientation), **options)
    assert np.array_equal(decode_image(data), AS_SHOWN[orientation](COLOUR8))


@ORIENTATIONS
def test_a_jpeg_is_turned_as_its_tag_says(orientation: int) -> None:
    plain = decode_image(saved(Image.fromarray(COLOUR8), "JPEG"))
    turned = decode_image(saved(Image.fromarray(COLOUR8), "JPEG", exif=exif(orientation)))
    assert np.array_equal(turned, AS_SHOWN[orientation](plain))


@ORIENTATIONS
@pytest.mark.parametrize("array", [GREY16, COLOUR16], ids=["grey", "colour"])
def test_a_sixteen_bit_png_is_turned_as_its_tag_says(array: npt.NDArray[np.uint16], orientation: int) -> None:
    shown = AS_SHOWN[orientation](array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2))
    assert np.array_equal(decode_image(sixteen_bit_png(array, orientation)), shown)


@ORIENTATIONS
def test_a_sixteen_bit_grey_tiff_is_turned_once(orientation: int) -> None:
    data = saved(Image.fromarray(GREY16), "TIFF", tiffinfo={274: orientation})
    shown = AS_SHOWN[orientation](np.repeat(GREY16[:, :, None], 3, axis=2))
    assert np.array_equal(decode_image(data), shown)


@ORIENTATIONS
def test_a_sixteen_bit_colour_tiff_is_turned_once(orientation: int) -> None:
    pixels = decode_image(sixteen_bit_tiff(COLOUR16, orientation))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, AS_SHOWN[orientation](COLOUR16))


def test_a_nonsense_orientation_leaves_the_image_as_it_lies() -> None:
    assert np.array_equal(decode_image(saved(Image.fromarray(COLOUR8), "PNG", exif=exif(42))), COLOUR8)
    assert np.array_equal(decode_image(sixteen_bit_png(COLOUR16, 42)), COLOUR16)
