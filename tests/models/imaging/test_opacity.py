"""A fourth channel is opacity only where the file says so, and never hides a whole picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.harness.png_writer import chunk, write_bmp, write_png
from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.alpha import HIDDEN_SHARE
from models.imaging.decode import decode_image

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(4)
COLOUR: Array = RANDOM.integers(0, 256, (20, 15, 3), dtype=np.uint8)


def with_opacity(opacity: Array | int) -> Array:
    channel = np.broadcast_to(np.asarray(opacity, np.uint8), (20, 15))
    return np.dstack([COLOUR, channel])


def webp(values: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "WEBP", lossless=True, exact=True)
    return stream.getvalue()


WRITERS = {
    "PNG": lambda values: write_png(values, 8, 6),
    "BMP with an alpha mask": lambda values: write_bmp(values, 32, alpha_mask=True),
    "TIFF": lambda values: write_tiff(values, TiffLayout(photometric=2, extra=(2,))),
    "TIFF of planes": lambda values: write_tiff(values, TiffLayout(photometric=2, extra=(2,), apart=True)),
    "WebP": webp,
}


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("opacity", [0, 1])
def test_opacity_that_hides_the_whole_picture_is_ignored(kind: str, opacity: int) -> None:
    assert np.array_equal(decode_image(WRITERS[kind](with_opacity(opacity))), COLOUR)


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_opacity_that_hides_a_part_of_it_counts(kind: str) -> None:
    opacity = np.zeros((20, 15), np.uint8)
    opacity[:, :5] = 255
    opacity[0, 6] = 128
    found = decode_image(WRITERS[kind](with_opacity(opacity)))
    assert np.array_equal(found[:, :5], COLOUR[:, :5])
    assert np.array_equal(found[0, 6], np.rint(COLOUR[0, 6] * (128 / 255)))
    assert not found[1:, 5:].any()


def test_the_share_that_counts_as_the_whole_picture() -> None:
    for shown, hidden in ((3, True), (4, False)):  # of 300 pixels: exactly 99 %, and just below
        opacity = np.zeros(300, np.uint8)
        opacity[:shown] = 255
        assert ((300 - shown) / 300 >= HIDDEN_SHARE) == hidden
        found = decode_image(WRITERS["PNG"](with_opacity(opacity.reshape(20, 15))))
        assert np.array_equal(found, COLOUR) == hidden


@pytest.mark.parametrize("extra", [(0,), None])
@pytest.mark.parametrize("apart", [False, True])
def test_an_unspecified_extra_sample_is_never_opacity(extra: tuple[int, ...] | None, apart: bool) -> None:
    values = with_opacity(RANDOM.integers(0, 256, (20, 15)))
    data = write_tiff(values, TiffLayout(photometric=2, extra=extra or (0,), apart=apart))
    if extra is None:  # the tag is missing altogether
        data = write_tiff(values, TiffLayout(photometric=2, extra=None, apart=apart))
    assert np.array_equal(decode_image(data), COLOUR)


def test_the_fourth_byte_of_a_bitmap_without_masks_is_no_opacity() -> None:
    assert np.array_equal(decode_image(write_bmp(with_opacity(7), 32)), COLOUR)


def test_premultiplied_colours_lie_over_black_already() -> None:
    values = with_opacity(100)
    values[:, :, :3] //= 3
    data = write_tiff(values, TiffLayout(photometric=2, extra=(1,)))
    assert np.array_equal(decode_image(data), values[:, :, :3])


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_named_transparent_is_black_at_every_depth(bits: int) -> None:
    values = RANDOM.integers(0, 2**bits, (20, 15, 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    most = 2**bits - 1
    values[2, 3], values[4, 5] = most, 0
    data = write_png(values, bits, 0, (chunk(b"tRNS", np.array([most], ">u2").tobytes()),))
    found = decode_image(data)
    assert found[2, 3].tolist() == [0, 0, 0]
    kept = values[:, :, 0] != most
    assert np.array_equal(found[kept][:, 0], values[kept][:, 0] * (255 // most if bits < 8 else 1))


def test_sixteen_bit_opacity_of_one_in_255_hides_and_is_ignored() -> None:
    colours = RANDOM.integers(0, 65536, (20, 15, 3)).astype(np.uint16)
    values = np.dstack([colours, np.full((20, 15), 257, np.uint16)])
    assert np.array_equal(decode_image(write_png(values, 16, 6)), colours)
