"""A TIFF that is read in bands gives what it gives as a whole, and the same errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.decode import ImageError, decode_image, read_header
from models.imaging.tiff import read
from models.imaging.tiff.header import TiffHeader

LAYOUTS = [
    *(TiffLayout(photometric=2, compression=name) for name in ("none", "LZW", "Deflate", "PackBits", "LZMA")),
    TiffLayout(photometric=2, compression="Zstandard", rows=61),
    TiffLayout(photometric=2, compression="LZW", rows=61, predictor=2),
    TiffLayout(photometric=2, compression="Deflate", rows=61, predictor=2),
    TiffLayout(photometric=2, compression="none", rows=1),
    TiffLayout(photometric=2, compression="LZMA", rows=61),
    TiffLayout(photometric=2, compression="PackBits", rows=61),
    TiffLayout(photometric=2, compression="Deflate", tile=(16, 32)),
    TiffLayout(photometric=2, compression="LZW", tile=(16, 32), apart=True),
    TiffLayout(photometric=2, compression="Deflate", tile=(64, 96)),
    TiffLayout(photometric=2, compression="Deflate", tile=(16, 96), apart=True, bits=16, order=">"),
    TiffLayout(photometric=2, compression="none", rows=61, bits=12, apart=True),
    TiffLayout(photometric=2, extra=(2,), orientation=6),
    TiffLayout(photometric=2, extra=(2,), apart=True, compression="Deflate"),
]


def samples(layout: TiffLayout) -> npt.NDArray[Any]:
    channels = 4 if layout.extra else 3
    kind = np.uint16 if layout.bits > 8 else np.uint8
    return np.random.default_rng(3).integers(0, 2**layout.bits, (61, 75, channels)).astype(kind)


def decoded(data: bytes) -> npt.NDArray[Any] | str:
    try:
        return decode_image(data)
    except ImageError as error:
        return error.code


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("band_bytes", [1, 1000])
def test_bands_of_any_height_make_the_same_picture(
    layout: TiffLayout, band_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_tiff(samples(layout), layout)
    whole = decode_image(data)
    monkeypatch.setattr(read, "BAND_BYTES", band_bytes)
    header = read_header(data)
    assert isinstance(header, TiffHeader)
    assert layout.tile == (64, 96) or sum(1 for _ in read.read_bands(header, data)) > 1
    assert np.array_equal(decode_image(data), whole)
    if layout.extra is None:
        assert np.array_equal(whole, samples(layout))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_damage_is_found_in_whichever_band_it_lies(layout: TiffLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_tiff(samples(layout), layout)
    middle, end = len(data) // 2, len(data) - 20
    broken = [data[: len(data) * share // 10] for share in (3, 6, 9)]
    broken += [data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :] for place in (middle, end)]
    whole = [decoded(one) for one in broken]
    assert "image_truncated" in [one for one in whole if isinstance(one, str)]
    monkeypatch.setattr(read, "BAND_BYTES", 300)
    for one, before in zip(broken, whole, strict=True):
        found = decoded(one)
        assert found == before if isinstance(before, str) else np.array_equal(found, before)


@pytest.mark.parametrize("compression", ["none", "Deflate", "LZMA", "PackBits", "Zstandard"])
def test_a_strip_that_holds_more_than_its_rows_is_damaged_in_small_bands_too(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = TiffLayout(compression=compression, rows=40)
    data = write_tiff(np.random.default_rng(4).integers(0, 256, (40, 30, 1)).astype(np.uint8), layout)
    at = data.index((257).to_bytes(2, "little"))  # the tag of the height says fewer rows
    monkeypatch.setattr(read, "BAND_BYTES", 60)
    assert decoded(data[: at + 8] + (31).to_bytes(4, "little") + data[at + 12 :]) == "image_damaged"
