"""Masks as programs draw them: any value above 0 is defect, whatever the depth, colours, palette or opacity."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.harness.png_writer import chunk, exif, write_bmp, write_png
from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.masks import looks_inverted, read_mask

DEFECT: npt.NDArray[np.bool_] = np.zeros((24, 17), bool)
DEFECT[4:9, 3:12] = True


def saved(array: npt.NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def layer(inside: tuple[int, ...], outside: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return np.where(DEFECT[:, :, None], np.array(inside, np.uint8), np.array(outside, np.uint8)).astype(np.uint8)


GREY = DEFECT[:, :, None].astype(np.uint8)
LABELS = GREY * np.random.default_rng(0).integers(1, 9, (24, 17, 1), dtype=np.uint8)
PALETTE = chunk(b"PLTE", bytes([255, 255, 255, 0, 0, 0]) + bytes(6))
FILES = {
    "0 and 255": saved(GREY[:, :, 0] * 255),
    "0 and 1": saved(GREY[:, :, 0]),
    "labels": saved(LABELS[:, :, 0]),
    "one bit": saved(DEFECT),
    "16 bits with value 1": write_png(GREY.astype(np.uint16), 16, 0),
    "16-bit TIFF": write_tiff(GREY.astype(np.uint16) * 300, TiffLayout(bits=16)),
    "one colour channel": saved(layer((0, 0, 3), (0, 0, 0))),
    "opaque colours": saved(layer((9, 0, 0, 255), (0, 0, 0, 255))),
    "black paint on clear ground": saved(layer((0, 0, 0, 255), (0, 0, 0, 0))),
    "white paint on clear ground": saved(layer((255, 255, 255, 255), (0, 0, 0, 0))),
    "clear ground that hides white": saved(layer((255, 0, 0, 255), (255, 255, 255, 0))),
    "alpha 0 everywhere": saved(layer((255, 255, 255, 0), (0, 0, 0, 0))),
    "palette whose index 0 is white": write_png(GREY, 2, 3, (PALETTE,)),
    "palette BMP": write_bmp(LABELS % 2 + GREY, 4, np.full((16, 3), 200, np.uint8)),
    "white is zero": write_tiff((1 - GREY).astype(np.uint8), TiffLayout(bits=1, photometric=0)),
    "JPEG": saved(GREY[:, :, 0] * 255, "JPEG", quality=75),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_defect_is_found(name: str) -> None:
    found = read_mask(FILES[name])
    assert found.dtype == np.bool_
    assert np.array_equal(found, DEFECT)


def test_a_mask_is_turned_as_its_picture_is() -> None:
    data = write_png(GREY, 8, 0, (chunk(b"eXIf", exif(6)),))
    assert np.array_equal(read_mask(data), np.rot90(DEFECT, -1))


def test_masks_drawn_black_on_white_are_noticed() -> None:
    assert looks_inverted([~DEFECT, ~DEFECT, DEFECT])
    assert not looks_inverted([DEFECT, DEFECT, ~DEFECT])
    assert not looks_inverted([])
