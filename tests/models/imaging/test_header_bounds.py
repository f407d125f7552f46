"""The parts of a header are counted before a decoder sees the file: right at each bound, and one above it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.harness.png_writer import chunk, write_png
from benchmarks.harness.tiff_writer import TiffLayout, tiff_file, write_tiff
from models.imaging import bmp, jpeg, png, webp
from models.imaging.decode import ImageError, decode_image
from models.imaging.limits import (
    JPEG_SCANS,
    JPEG_SEGMENTS,
    METADATA_BYTES,
    PNG_CHUNKS,
    TIFF_SEGMENTS,
    TIFF_TAGS,
    WEBP_CHUNKS,
)
from models.imaging.tiff import read as tiff_read

COLOUR = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any decoder that is asked ends the test."""

    def asked(*_: object) -> None:
        raise AssertionError("a decoder has seen the file")

    for module in (bmp, jpeg, png, webp, tiff_read):
        monkeypatch.setattr(module, "read_samples", asked)


def saved(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, kind)
    return stream.getvalue()


def png_with(count: int) -> bytes:
    """`count` chunks in all, of which three are needed."""
    return write_png(COLOUR, 8, 2, tuple(chunk(b"tEXt", b"a\0") for _ in range(count - 3)))


def jpeg_with(count: int) -> bytes:
    """`count` comment segments more."""
    data = saved("JPEG")
    return data[:2] + b"\xff\xfe\x00\x03a" * count + data[2:]


def jpeg_with_scans(count: int) -> bytes:
    """`count` copies of the first scan."""
    data = saved("JPEG")
    at = data.index(b"\xff\xda")
    return data[:at] + data[at:-2] * count + data[-2:]


def webp_with(count: int) -> bytes:
    """`count` chunks in all."""
    data = saved("WEBP")
    body = data[12:] + b"JUNK\2\0\0\0ab" * (count - 1)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def tiff_with(count: int) -> bytes:
    """`count` tags in all."""
    needed = [
        *((256, 3, [16]), (257, 3, [16]), (258, 3, [8, 8, 8]), (259, 3, [1]), (262, 3, [2]), (277, 3, [3])),
        (278, 3, [16]),
    ]
    more = [(60_000 + number, 3, [0]) for number in range(count - len(needed) - 2)]
    return tiff_file([*needed, *more], [COLOUR.tobytes()], "<")


def segments_of(data: bytes) -> int:
    """Segments of a JPEG from Pillow, its end marker left out."""
    return sum(data.count(bytes([0xFF, code])) for code in (0xE0, 0xDB, 0xC0, 0xC4, 0xDA))


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (png_with, PNG_CHUNKS),
        (lambda count: jpeg_with(count - segments_of(saved("JPEG"))), JPEG_SEGMENTS),
        (webp_with, WEBP_CHUNKS),
        (tiff_with, TIFF_TAGS),
    ],
    ids=["PNG chunks", "JPEG segments", "WebP chunks", "TIFF tags"],
)
def test_the_bound_itself_is_taken_and_one_more_is_not(
    make: Callable[[int], bytes], most: int, request: pytest.FixtureRequest
) -> None:
    # A PNG may have a chunk more for each KiB: the file itself says how many those are.
    most += len(make(most)) // 1024 if make is png_with else 0
    assert decode_image(make(most)).shape == (16, 16, 3)
    request.getfixturevalue("no_decoder")
    with pytest.raises(ImageError) as caught:
        decode_image(make(most + 1))
    assert caught.value.code == "image_header_too_large"
    assert f"{most:,}" in caught.value.detail


@pytest.mark.usefixtures("no_decoder")
def test_scans_are_counted() -> None:
    with pytest.raises(ImageError, match="scans") as caught:
        decode_image(jpeg_with_scans(JPEG_SCANS + 1))
    assert caught.value.code == "image_header_too_large"


@pytest.mark.usefixtures("no_decoder")
def test_scans_times_pixels_are_bounded() -> None:
    data = bytearray(jpeg_with_scans(30))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 7000, 7000)
    with pytest.raises(ImageError, match="times a pixel") as caught:
        decode_image(bytes(data))
    assert caught.value.code == "image_header_too_large"


@pytest.mark.usefixtures("no_decoder")
def test_strips_are_counted() -> None:
    tags = [(256, 4, [8]), (257, 4, [TIFF_SEGMENTS + 1]), (258, 3, [8]), (259, 3, [1]), (262, 3, [1]), (278, 3, [1])]
    with pytest.raises(ImageError, match="strips or tiles") as caught:
        decode_image(tiff_file(tags, [b"12345678"], "<"))
    assert caught.value.code == "image_header_too_large"


@pytest.mark.usefixtures("no_decoder")
def test_tiles_far_larger_than_the_picture_are_refused() -> None:
    data = write_tiff(COLOUR, TiffLayout(photometric=2, tile=(16, 16)))
    tall = data.replace(struct.pack("<HHIHH", 323, 3, 1, 16, 0), struct.pack("<HHIHH", 323, 3, 1, 65_520, 0))
    wide = tall.replace(struct.pack("<HHIHH", 322, 3, 1, 16, 0), struct.pack("<HHIHH", 322, 3, 1, 1024, 0))
    assert wide != tall != data
    with pytest.raises(ImageError, match="pixels in its tiles") as caught:
        decode_image(wide)
    assert caught.value.code == "image_header_too_large"


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_metadata_is_counted_in_bytes(kind: str) -> None:
    many = METADATA_BYTES + 1
    if kind == "PNG":
        data = write_png(COLOUR, 8, 2, (chunk(b"tEXt", bytes(many)),))
    elif kind == "JPEG":
        plain = saved("JPEG")
        data = plain[:2] + (b"\xff\xed\xff\xff" + bytes(65_533)) * (many // 65_533 + 1) + plain[2:]
    elif kind == "WEBP":
        body = saved("WEBP")[12:] + b"XMP " + struct.pack("<I", many) + bytes(many + many % 2)
        data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    else:
        data = tiff_with(20)
        entry = struct.pack("<HHIHH", 60_000, 3, 1, 0, 0)
        assert entry in data
        data = data.replace(entry, struct.pack("<HHII", 60_000, 1, many, 8))
    with pytest.raises(ImageError, match="bytes of metadata") as caught:
        decode_image(data)
    assert caught.value.code == "image_header_too_large"


def test_libpng_is_given_no_text_and_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    real = cv2.imdecode

    def looked_at(array: npt.NDArray[np.uint8], flags: int) -> object:
        seen.append(array.tobytes())
        return real(array, flags)

    monkeypatch.setattr(cv2, "imdecode", looked_at)
    data = write_png(COLOUR, 8, 2, (chunk(b"tEXt", b"a\0b"), chunk(b"gAMA", struct.pack(">I", 45_455))))
    assert np.array_equal(decode_image(data), COLOUR)
    assert b"tEXt" not in seen[0]
    assert b"gAMA" not in seen[0]
