"""How each kind of picture becomes pixels: the rules that models.imaging.decode states."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.imaging.decode import ImageError, decode_image

RANDOM = np.random.default_rng(7)
COLOUR8: npt.NDArray[np.uint8] = RANDOM.integers(0, 256, (20, 13, 3), dtype=np.uint8)
COLOUR16: npt.NDArray[np.uint16] = RANDOM.integers(0, 65536, (20, 13, 3), dtype=np.uint16)
ALPHA8: npt.NDArray[np.uint8] = RANDOM.integers(0, 256, (20, 13), dtype=np.uint8)
GREY8 = COLOUR8[:, :, 0]
GREY16 = COLOUR16[:, :, 0]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_opencv(suffix: str, array: npt.NDArray[np.uint16]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(array))
    assert done
    return data.tobytes()


def three(grey: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def over_black(array: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(array.astype(float) * (alpha.astype(float) / np.iinfo(alpha.dtype).max)[:, :, None])


def png_by_hand(samples: npt.NDArray[np.uint16], colour_type: int, extra: bytes = b"") -> bytes:
    """A 16-bit PNG of any colour type; neither Pillow nor OpenCV writes them all."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + samples[y].astype(">u2").tobytes() for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_a_lossless_colour_image_keeps_every_pixel(kind: str, options: dict[str, Any]) -> None:
    pixels = decode_image(saved(Image.fromarray(COLOUR8), kind, **options))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, COLOUR8)


def test_a_jpeg_comes_in_rgb_order() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200
    pixels = decode_image(saved(Image.fromarray(red), "JPEG", quality=95))
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - red).max() <= 4


def test_grey_becomes_three_equal_channels() -> None:
    assert np.array_equal(decode_image(saved(Image.fromarray(GREY8), "PNG")), three(GREY8))


def test_one_bit_images_are_black_and_white() -> None:
    bits = GREY8 > 99
    expected = three(np.where(bits, 255, 0))
    assert np.array_equal(decode_image(saved(Image.fromarray(bits), "PNG")), expected)


def test_grey_with_alpha_is_laid_over_black() -> None:
    both = np.dstack([GREY8, ALPHA8])
    pixels = decode_image(saved(Image.fromarray(both, "LA"), "PNG"))
    assert np.abs(pixels - over_black(three(GREY8), ALPHA8)).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colour_with_alpha_is_laid_over_black(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode_image(saved(Image.fromarray(np.dstack([COLOUR8, ALPHA8])), kind, **options))
    assert np.abs(pixels - over_black(COLOUR8, ALPHA8)).max() <= 1


def test_a_transparent_pixel_is_black_whatever_colour_hides_in_it() -> None:
    hidden = np.full((10, 10, 4), 255, np.uint8)
    hidden[1:, :, 3] = 0
    assert not decode_image(saved(Image.fromarray(hidden), "PNG"))[1:].any()


def test_a_palette_is_expanded() -> None:
    image = Image.fromarray(COLOUR8).quantize(16)
    assert np.array_equal(decode_image(saved(image, "PNG")), np.asarray(image.convert("RGB")))


def test_a_palette_with_transparency_is_laid_over_black() -> None:
    image = Image.fromarray(COLOUR8).quantize(4)
    alphas = np.array([0, 90, 200, 255], np.uint8)
    pixels = decode_image(saved(image, "PNG", transparency=alphas.tobytes()))
    expected = over_black(np.asarray(image.convert("RGB")), alphas[np.asarray(image)])
    assert np.abs(pixels - expected).max() <= 1


def test_a_colour_named_transparent_becomes_black() -> None:
    named = tuple(int(value) for value in COLOUR8[3, 4])
    pixels = decode_image(saved(Image.fromarray(COLOUR8), "PNG", transparency=named))
    assert pixels[3, 4].tolist() == [0, 0, 0]
    assert np.array_equal(pixels[0, 0], COLOUR8[0, 0])


def test_a_cmyk_jpeg_is_converted_to_rgb() -> None:
    smooth = np.dstack([np.tile(np.linspace(40, 220, 24), (16, 1))] * 3).astype(np.uint8)
    pixels = decode_image(saved(Image.fromarray(smooth).convert("CMYK"), "JPEG", quality=98))
    assert np.abs(pixels.astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_grey_stays_sixteen_bit(suffix: str) -> None:
    pixels = decode_image(by_opencv(suffix, GREY16))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, three(GREY16))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_stays_sixteen_bit_in_rgb_order(suffix: str) -> None:
    pixels = decode_image(by_opencv(suffix, COLOUR16[:, :, ::-1]))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, COLOUR16)


def test_a_big_endian_sixteen_bit_tiff_is_the_same_image() -> None:
    image = Image.frombytes("I;16B", (13, 20), GREY16.astype(">u2").tobytes())
    assert np.array_equal(decode_image(saved(image, "TIFF")), three(GREY16))


def test_sixteen_bit_transparency_is_laid_over_black() -> None:
    alpha = COLOUR16[:, :, 1]
    rgba = png_by_hand(np.dstack([COLOUR16, alpha]), colour_type=6)
    assert np.abs(decode_image(rgba) - over_black(COLOUR16, alpha)).max() <= 1
    grey_alpha = png_by_hand(np.dstack([GREY16, alpha]), colour_type=4)
    assert np.abs(decode_image(grey_alpha) - over_black(three(GREY16), alpha)).max() <= 1


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_sixteen_bit_colour_named_transparent_becomes_black(colour_type: int) -> None:
    samples = COLOUR16 if colour_type == 2 else GREY16
    named = png_chunk(b"tRNS", np.atleast_1d(samples[3, 4]).astype(">u2").tobytes())
    pixels = decode_image(png_by_hand(samples, colour_type, named))
    assert pixels[3, 4].tolist() == [0, 0, 0]
    assert np.array_equal(pixels[0, 0], np.broadcast_to(samples[0, 0], 3))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_that_are_neither_eight_nor_sixteen_bit_are_refused(kind: type[np.generic]) -> None:
    with pytest.raises(ImageError, match=r"sample format '(float|signed)' is not taken; taken are unsigned") as caught:
        decode_image(saved(Image.fromarray(GREY8.astype(kind)), "TIFF"))
    assert caught.value.code == "image_layout_not_supported"


def test_the_content_decides_and_never_a_name() -> None:
    """A PNG under any name or declared type is a PNG: the bytes are all that decode_image is given."""
    assert np.array_equal(decode_image(saved(Image.fromarray(COLOUR8), "PNG") + b"trailing bytes"), COLOUR8)
