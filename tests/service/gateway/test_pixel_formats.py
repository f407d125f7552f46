"""Raw frames of cameras as pixels: packing, depth, Bayer, and white at the top of the range."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from service.gateway.codes import Code
from service.gateway.picture import PictureError
from service.gateway.sources.pixel_formats import encode_frame, to_pixels


def test_mono8_is_as_it_is() -> None:
    assert to_pixels(bytes(range(6)), 3, 2, "Mono8").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("name", "white", "one"), [("Mono10", 1023, 64), ("Mono12", 4095, 16), ("Mono16", 65535, 1)])
def test_white_is_the_top_of_16_bits_whatever_the_depth(name: str, white: int, one: int) -> None:
    pixels = to_pixels(np.array([0, 1, white], "<u2").tobytes(), 3, 1, name)
    assert pixels.dtype == np.uint16
    assert pixels.tolist() == [[0, one, white * one]]


def test_mono12_packed_has_the_low_bits_in_the_middle_byte() -> None:
    """0xABC and 0x123 in the order of GigE Vision: high byte, both low halves, high byte."""
    assert to_pixels(bytes([0xAB, 0x3C, 0x12]), 2, 1, "Mono12Packed").tolist() == [[0xABC0, 0x1230]]


def test_mono12p_is_one_stream_of_bits_the_lowest_first() -> None:
    assert to_pixels(bytes([0xBC, 0x3A, 0x12]), 2, 1, "Mono12p").tolist() == [[0xABC0, 0x1230]]


def test_mono10p_takes_four_values_from_five_bytes() -> None:
    values = [0x001, 0x3FF, 0x155, 0x2AA]
    stream = sum(value << 10 * place for place, value in enumerate(values)).to_bytes(5, "little")
    assert to_pixels(stream, 4, 1, "Mono10p").tolist() == [[value << 6 for value in values]]


def test_mono10_packed() -> None:
    assert to_pixels(bytes([0xFF, 0x13, 0x00]), 2, 1, "Mono10Packed").tolist() == [[1023 << 6, 1 << 6]]


def test_rgb_and_bgr_end_up_the_same() -> None:
    assert to_pixels(bytes([1, 2, 3]), 1, 1, "RGB8").tolist() == to_pixels(bytes([3, 2, 1]), 1, 1, "BGR8").tolist()


@pytest.mark.parametrize(
    ("name", "red_at"), [("BayerRG8", (0, 0)), ("BayerGR8", (0, 1)), ("BayerGB8", (1, 0)), ("BayerBG8", (1, 1))]
)
def test_a_red_surface_is_red_by_every_bayer_pattern(name: str, red_at: tuple[int, int]) -> None:
    raw = np.zeros((8, 8), np.uint8)
    raw[red_at[0] :: 2, red_at[1] :: 2] = 200
    blue, green, red = to_pixels(raw.tobytes(), 8, 8, name)[3:5, 3:5].reshape(-1, 3).mean(axis=0)
    assert (blue, green) == (0, 0)
    assert red > 150


def read_back(data: bytes) -> object:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.tolist()


def test_8_bits_become_bmp_and_more_become_png_and_both_are_read_back() -> None:
    data, media_type = encode_frame(bytes([0, 128, 255, 7]), 2, 2, "Mono8")
    assert media_type == "image/bmp"
    assert read_back(data) == [[0, 128], [255, 7]]
    data, media_type = encode_frame(np.array([1, 4095], "<u2").tobytes(), 2, 1, "Mono12")
    assert media_type == "image/png"
    assert read_back(data) == [[16, 65520]]


@pytest.mark.parametrize(("name", "size"), [("YUV422", 100), ("Mono8", 3), ("Mono12Packed", 5), ("Mono12", 7)])
def test_what_is_not_known_or_too_short_is_refused(name: str, size: int) -> None:
    with pytest.raises(PictureError) as refused:
        to_pixels(bytes(size), 2, 2, name)
    assert refused.value.code is Code.PICTURE_FORMAT
