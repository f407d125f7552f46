"""Damage that decoders paper over is an error by name, for every format."""

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

from benchmarks.harness.png_writer import png_file, write_bmp, write_png
from benchmarks.harness.tiff_writer import TiffLayout, tiff_file, write_tiff
from models.imaging.decode import ImageError, decode_image
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.imaging.tiff.lzw_length import lzw_length

RANDOM = np.random.default_rng(6)
COLOUR: npt.NDArray[np.uint8] = RANDOM.integers(0, 256, (40, 33, 3), dtype=np.uint8)


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    return caught.value.code


def jpeg(**options: Any) -> bytes:
    stream = io.BytesIO()
    smooth = cv2.GaussianBlur(COLOUR, (0, 0), 3)
    Image.fromarray(np.tile(smooth, (6, 6, 1))).save(stream, "JPEG", quality=92, **options)
    return stream.getvalue()


def with_a_marker_inside(data: bytes) -> bytes:
    """A restart marker in the middle of a scan that has none: libjpeg warns and goes on with grey."""
    middle = data.index(b"\xff\xda") + (len(data) - data.index(b"\xff\xda")) // 2
    return data[:middle] + b"\xff\xd3" + data[middle + 2 :]


def opens_elsewhere(data: bytes) -> bool:
    """Whether Pillow gives a picture for it without complaint."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return True


@pytest.mark.parametrize("progressive", [False, True])
def test_what_libjpeg_only_warns_of_is_damage(progressive: bool) -> None:
    data = with_a_marker_inside(jpeg(progressive=progressive))
    assert opens_elsewhere(data)
    assert code_of(data) == "image_damaged"


def test_a_reduced_jpeg_is_damaged_too() -> None:
    with pytest.raises(ImageError) as caught:
        PictureViews(Preprocessing(image_size=32, jpeg="reduced")).prepare_file(with_a_marker_inside(jpeg()))
    assert caught.value.code == "image_damaged"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_scan_that_ends_early_is_truncated_also_where_an_end_marker_follows(progressive: bool, end: bytes) -> None:
    data = jpeg(progressive=progressive)
    assert code_of(data[: len(data) * 3 // 5] + end) in {"image_truncated", "image_damaged"}


def test_a_marker_that_is_missing_between_segments_is_damage() -> None:
    data = jpeg()
    at = data.index(b"\xff\xdb")
    assert code_of(data[:at] + b"abc" + data[at:]) == "image_damaged"


@pytest.mark.parametrize("rows", [0, 1, 20, 39])
def test_a_png_with_too_few_rows_is_damage(rows: int) -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in COLOUR[:rows])
    assert code_of(png_file((33, 40, 8, 2), zlib.compress(raw))) == "image_damaged"


def test_a_png_whose_compressed_stream_has_no_checksum_is_damage() -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in COLOUR)
    data = png_file((33, 40, 8, 2), zlib.compress(raw)[:-4])
    assert opens_elsewhere(data)
    assert code_of(data) == "image_damaged"


def test_a_png_without_its_last_chunk_is_truncated() -> None:
    data = write_png(COLOUR, 8, 2)[:-12]
    assert opens_elsewhere(data)
    assert code_of(data) == "image_truncated"


@pytest.mark.parametrize("colour", ["truecolour", "palette"])
def test_any_changed_byte_of_a_png_fails_a_checksum(colour: str) -> None:
    from benchmarks.harness.png_writer import chunk

    if colour == "palette":
        data = write_png(COLOUR[:, :, :1] % 16, 4, 3, (chunk(b"PLTE", COLOUR[:16, 0].tobytes()),))
    else:
        data = write_png(COLOUR, 8, 2)
    for place in range(8, len(data), 7):
        broken = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        assert code_of(broken) in {"image_damaged", "image_truncated"}


def test_an_index_that_a_palette_does_not_have_is_damage() -> None:
    from benchmarks.harness.png_writer import chunk

    indices = COLOUR[:, :, :1] % 16
    assert code_of(write_png(indices, 4, 3, (chunk(b"PLTE", bytes(3 * 15)),))) == "image_damaged"
    assert code_of(write_bmp(indices, 4, np.zeros((15, 3), np.uint8))) == "image_damaged"


@pytest.mark.parametrize("compression", ["LZW", "Deflate", "LZMA", "Zstandard", "PackBits"])
def test_a_tiff_strip_that_is_too_short_is_damage(compression: str) -> None:
    data = bytearray(write_tiff(COLOUR, TiffLayout(photometric=2, compression=compression, rows=40)))
    at = data.index(struct.pack("<HHI", 279, 4, 1)) + 8
    (count,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, count // 2)
    assert code_of(bytes(data)) == "image_damaged"


@pytest.mark.parametrize(("field", "value"), [(273, 0), (279, 0)])
def test_a_tiff_strip_that_is_missing_is_damage(field: int, value: int) -> None:
    data = bytearray(write_tiff(COLOUR, TiffLayout(photometric=2, rows=40)))
    struct.pack_into("<I", data, data.index(struct.pack("<HHI", field, 4, 1)) + 8, value)
    assert code_of(bytes(data)) == "image_damaged"


def test_a_tiff_strip_behind_the_end_is_truncated() -> None:
    data = write_tiff(COLOUR, TiffLayout(photometric=2))
    assert code_of(data[:-1]) == "image_truncated"


def test_a_deflated_strip_with_a_wrong_checksum_is_damage() -> None:
    data = bytearray(write_tiff(COLOUR, TiffLayout(photometric=2, rows=40, compression="Deflate")))
    data[-1] ^= 1
    assert code_of(bytes(data)) == "image_damaged"


def test_a_jpeg_strip_that_is_damaged_is_damage() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.tile(COLOUR, (3, 3, 1))).save(stream, "TIFF", compression="jpeg", tiffinfo={278: 120})
    data = stream.getvalue()
    start = data.rindex(b"\xff\xda")
    middle = start + (len(data) - start) // 3
    assert code_of(data[:middle] + b"\xff\xd3" + data[middle + 2 :]) == "image_damaged"


def test_a_multi_picture_file_is_refused_as_what_it_is() -> None:
    stream = io.BytesIO()
    first = Image.fromarray(COLOUR)
    first.save(stream, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR[::-1].copy())])
    with pytest.raises(ImageError, match=r"MPO.* 2 pictures") as caught:
        decode_image(stream.getvalue())
    assert caught.value.code == "image_multiple_frames"


@pytest.mark.parametrize("compression", ["none", "LZW", "Deflate", "LZMA", "Zstandard", "PackBits"])
@pytest.mark.parametrize("rows", [40, 7])
def test_strips_that_hold_more_than_the_header_promises_are_damage(compression: str, rows: int) -> None:
    """Written 66 pixels wide, said to be of 33: the rest of every strip would be dropped in silence."""
    wide = np.repeat(COLOUR, 2, axis=1)
    good = write_tiff(wide, TiffLayout(photometric=2, compression=compression, rows=rows))
    assert decode_image(good).shape == wide.shape
    width = struct.pack("<HHII", 256, 4, 1, 66)
    assert width in good
    assert code_of(good.replace(width, struct.pack("<HHII", 256, 4, 1, 33))) == "image_damaged"


def test_no_decoder_complains_of_a_good_file(capfd: pytest.CaptureFixture[str]) -> None:
    for compression in ("LZW", "Zstandard", "Deflate", "PackBits", "LZMA"):
        decode_image(write_tiff(COLOUR, TiffLayout(photometric=2, compression=compression)))
    decode_image(write_png(COLOUR, 8, 2))
    decode_image(jpeg())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [1, 500, 4_000, 60_000, 300_000])
def test_the_length_of_an_lzw_stream_is_counted_as_libtiff_makes_it(size: int) -> None:
    for values in (RANDOM.integers(0, 256, size), RANDOM.integers(0, 3, size), np.zeros(size)):
        rows = values.astype(np.uint8).reshape(1, -1, 1)
        data = write_tiff(rows, TiffLayout(compression="LZW", rows=1))
        assert lzw_length(data[-lzw_bytes(data) :]) == size


def lzw_bytes(data: bytes) -> int:
    (count,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 279, 4, 1)) + 8)
    return int(count)


@pytest.mark.parametrize("size", [(9, 8), (40, 33), (300, 700)])
def test_a_zstandard_strip_that_says_its_own_length_is_read(size: tuple[int, int]) -> None:
    codecs = pytest.importorskip("imagecodecs")
    values = RANDOM.integers(0, 9, (*size, 3), dtype=np.uint8)
    tags = [(256, 4, [size[1]]), (257, 4, [size[0]]), (258, 3, [8, 8, 8]), (259, 3, [50000]), (262, 3, [2])]
    piece = codecs.zstd_encode(values.tobytes())
    data = tiff_file([*tags, (277, 3, [3]), (278, 3, [size[0]])], [piece], "<")
    assert np.array_equal(decode_image(data), values)
