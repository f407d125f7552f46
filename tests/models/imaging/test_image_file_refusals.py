"""What is refused, by which code, and that nothing but an ImageError ever comes of bad bytes."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.imaging.decode import ERROR_CODES, ImageError, ImageLimits, decode_image

RANDOM = np.random.default_rng(5)
COLOUR8: npt.NDArray[np.uint8] = RANDOM.integers(0, 256, (20, 13, 3), dtype=np.uint8)
COLOUR16: npt.NDArray[np.uint16] = RANDOM.integers(0, 65536, (12, 9, 3), dtype=np.uint16)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_opencv(suffix: str, array: npt.NDArray[np.uint16]) -> bytes:
    done, data = cv2.imencode(suffix, array)
    assert done
    return data.tobytes()


def tags() -> Image.Exif:
    found = Image.Exif()
    found[0x0112], found[0x010F], found[0x011A] = 6, "a camera", 72.0
    return found


PICTURE = Image.fromarray(COLOUR8)
FILES: dict[str, bytes] = {
    "png": saved(PICTURE, "PNG", exif=tags()),
    "palette png": saved(PICTURE.quantize(8), "PNG", transparency=bytes([0, 128, 255])),
    "jpeg": saved(PICTURE, "JPEG", exif=tags()),
    "progressive jpeg": saved(PICTURE, "JPEG", progressive=True),
    "cmyk jpeg": saved(PICTURE.convert("CMYK"), "JPEG"),
    "bmp": saved(PICTURE, "BMP"),
    "tiff": saved(PICTURE, "TIFF"),
    "lzw tiff": saved(PICTURE, "TIFF", compression="tiff_lzw"),
    "webp": saved(PICTURE, "WEBP", exif=tags()),
    "lossless webp": saved(PICTURE, "WEBP", lossless=True),
    "16-bit png": by_opencv(".png", COLOUR16),
    "16-bit tiff": by_opencv(".tiff", COLOUR16),
    "16-bit grey tiff": by_opencv(".tiff", np.ascontiguousarray(COLOUR16[:, :, 0])),
}


def code_of(data: bytes, limits: ImageLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data, limits)
    assert caught.value.code in ERROR_CODES
    assert caught.value.detail
    return caught.value.code


def forged_png(width: int, height: int, depth: int = 8) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 64)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_no_bytes_at_all() -> None:
    assert code_of(b"") == "image_empty"


@pytest.mark.parametrize("data", [b"x", b"not an image at all" * 20, bytes(500)])
def test_bytes_that_are_no_image(data: bytes) -> None:
    assert code_of(data) == "image_unreadable"


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"RIFF\x40\0\0\0WEBP"])
def test_a_signature_with_nothing_behind_it_is_truncated(data: bytes) -> None:
    assert code_of(data) == "image_truncated"


def test_one_byte_more_than_the_limit_is_refused_and_the_limit_itself_is_not() -> None:
    data = FILES["png"]
    assert code_of(data, ImageLimits(max_bytes=len(data) - 1)) == "image_too_many_bytes"
    decode_image(data, ImageLimits(max_bytes=len(data)))


def test_one_pixel_more_than_the_limit_is_refused_and_the_limit_itself_is_not() -> None:
    data = FILES["png"]
    assert code_of(data, ImageLimits(max_pixels=20 * 13 - 1)) == "image_too_many_pixels"
    decode_image(data, ImageLimits(max_pixels=20 * 13))


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
@pytest.mark.parametrize("depth", [8, 16])
def test_pixels_are_counted_in_the_header_before_anything_is_allocated(side: int, depth: int) -> None:
    data = forged_png(side, side, depth)
    tracemalloc.start()
    try:
        assert code_of(data) == "image_too_many_pixels"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_an_image_of_less_than_eight_pixels_on_a_side(size: tuple[int, int]) -> None:
    assert code_of(saved(Image.new("RGB", size), "PNG")) == "image_too_small"


def test_eight_by_eight_is_enough() -> None:
    assert decode_image(saved(Image.new("RGB", (8, 8)), "PNG")).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO"])
def test_formats_that_are_not_on_the_allow_list(kind: str) -> None:
    assert code_of(saved(Image.fromarray(COLOUR8), kind)) == "image_format_not_allowed"


def test_a_narrower_allow_list_is_kept_to() -> None:
    limits = ImageLimits(formats=frozenset({"PNG"}))
    decode_image(FILES["png"], limits)
    assert code_of(FILES["jpeg"], limits) == "image_format_not_allowed"


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_a_second_frame_is_refused_as_it_might_be_a_second_part(kind: str) -> None:
    data = saved(PICTURE, kind, save_all=True, append_images=[Image.fromarray(COLOUR8[::-1].copy())])
    assert code_of(data) == "image_multiple_frames"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_truncated_file_never_passes_as_a_whole_one(name: str) -> None:
    """Whatever is decoded from the beginning of a file is all of the image: no grey or black rest is ever judged."""
    data = FILES[name]
    whole = decode_image(data)
    codes: set[str] = set()
    for length in range(1, len(data), 1 if len(data) < 1200 else 3):
        try:
            pixels = decode_image(data[:length])
        except ImageError as error:
            codes.add(error.code)
        else:
            assert np.array_equal(pixels, whole)
    assert codes <= {"image_truncated", "image_unreadable", "image_damaged"}
    assert codes


@pytest.mark.parametrize("name", ["png", "jpeg", "bmp", "tiff", "16-bit png"])
def test_a_file_cut_in_half_is_called_truncated(name: str) -> None:
    data = FILES[name]
    assert code_of(data[: len(data) * 2 // 3]) == "image_truncated"


def test_a_flipped_pixel_byte_in_a_sixteen_bit_png_fails_its_checksum() -> None:
    data = bytearray(FILES["16-bit png"])
    data[len(data) // 2] ^= 1
    assert code_of(bytes(data)) == "image_damaged"


@st.composite
def changed_files(draw: st.DrawFn) -> bytes:
    """One of FILES with some bytes replaced, removed or put in, mostly near its header; a PNG's checksums mended."""
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(len(data) - 1, 90) if draw(st.booleans()) else len(data) - 1))
        kind = draw(st.sampled_from(["replace", "replace", "remove", "insert"]))
        if kind == "replace":
            data[place] = draw(st.sampled_from([0, 1, 255]) | st.integers(0, 255))
        elif kind == "remove" and len(data) > 32:
            del data[place : place + draw(st.integers(1, 8))]
        else:
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
    return _mended_png(bytes(data)) if draw(st.booleans()) else bytes(data)


def _mended_png(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    mended, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        if place + 12 + length > len(data):
            break
        chunk = data[place + 4 : place + 8 + length]
        mended += data[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += 12 + length
    return bytes(mended) + data[place:]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=changed_files())
def test_any_change_to_a_file_decodes_or_raises_an_image_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ImageError):
        pixels = decode_image(data, ImageLimits(max_pixels=1_000_000))
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert pixels.dtype in (np.uint8, np.uint16)


def test_a_damaged_exif_block_is_refused_and_does_not_crash() -> None:
    """A wrong type of a tag made Pillow's EXIF writer raise struct.error, which is no ValueError."""
    data = FILES["jpeg"]
    start = data.index(b"Exif\0\0")
    for place in range(start, start + 80):
        for value in (0, 1, 9, 255):
            broken = data[:place] + bytes([value]) + data[place + 1 :]
            with contextlib.suppress(ImageError):
                decode_image(broken)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(data)
