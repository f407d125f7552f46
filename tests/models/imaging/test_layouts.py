"""Every cell of the table of layouts: the pixels are those that were written, and other decoders agree."""

from __future__ import annotations

import io
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.harness.layout_files import Case, cases, write
from benchmarks.harness.layout_references import references
from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.decode import ImageError, ImageLimits, decode, decode_image, read_header, read_samples
from models.imaging.layouts import LAYOUTS, Facts, layout_of, markdown

RANDOM = np.random.default_rng(12)
ALL = list(cases())
# No other decoder at hand honours a transparent grey; numpy's answer stands alone there.
ALONE = {("PNG", "grey", bits, "a transparent colour") for bits in (2, 4, 16)}


def grey(bits: int, channels: int = 1) -> npt.NDArray[Any]:
    kind = np.uint8 if bits <= 8 else np.uint16
    return RANDOM.integers(0, 2**bits, (20, 13, channels)).astype(kind)


def code_of(data: bytes) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("row", range(len(LAYOUTS)))
def test_every_cell_of_a_row_gives_the_pixels_that_were_written(row: int) -> None:
    for number, case in enumerate(case for case in ALL if case.layout is LAYOUTS[row]):
        for seed in range(1 if case.layout.format == "TIFF" else 3):
            written = write(case, np.random.default_rng([number, seed]), orientation=1 + (number + seed) % 8)
            if written.expected is None:
                continue
            found = decode_image(written.data)
            assert found.dtype == written.expected.dtype, case.name
            assert found.shape == written.expected.shape, case.name
            assert np.array_equal(found, written.expected), case.name


def agreed(case: Case, seed: int) -> bool:
    """Whether another decoder gives the same to within the one step by which blending and lossy formats round."""
    data = write(case, np.random.default_rng(seed)).data
    ours = decode_image(data)
    return any(
        other.shape == ours.shape and other.dtype == ours.dtype and np.abs(other.astype(int) - ours).max() <= 1
        for other in references(data).values()
    )


@pytest.mark.filterwarnings("ignore")
def test_two_decoders_agree_on_every_row_at_every_depth() -> None:
    found: dict[tuple[str, str, int, str], list[bool]] = defaultdict(list)
    for number, case in enumerate(ALL):
        key = (case.layout.format, case.colour, case.bits, case.extra)
        if key not in ALONE and not any(found[key]):
            found[key].append(agreed(case, number))
    missed = sorted(key for key, agreements in found.items() if not any(agreements) and key not in ALONE)
    if find_spec("imagecodecs") is None:  # tifffile cannot unpack bits without it, and the others take few such layouts
        missed = [key for key in missed if key[0] != "TIFF" or (key[2] in (8, 16) and key[1] != "CMYK")]
    assert missed == []


def test_the_page_shows_the_table_that_the_code_reads() -> None:
    page = Path(__file__).parents[3] / "docs" / "images-in.md"
    assert markdown() in page.read_text()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts("TIFF", "CIELab"), "colour 'CIELab'"),
        (Facts("TIFF", "RGB", sample="float", bits=32), "sample format 'float'"),
        (Facts("TIFF", "RGB", bits=32), "bits per sample '32' is not taken; taken are 1, 2, 4, 8, 10, 12, 14, 16"),
        (Facts("TIFF", "palette", planes="apart"), "planes 'apart'"),
        (Facts("TIFF", "palette", extra="opacity"), "extra samples 'opacity'"),
        (Facts("TIFF", "black is zero", compression="CCITT fax 4"), "compression 'CCITT fax 4'"),
        (Facts("TIFF", "YCbCr"), "compression 'none' is not taken; taken are JPEG"),
        (Facts("JPEG", "YCbCr", bits=12, compression="extended"), "bits per sample '12'"),
        (Facts("BMP", "RGB", bits=5), "bits per sample '5'"),
    ],
)
def test_what_is_not_in_the_table_is_refused_by_the_facet_that_does_not_fit(facts: Facts, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        layout_of(facts)
    assert caught.value.code == "image_layout_not_supported"
    assert words in caught.value.detail


def test_sixteen_bits_whose_planes_lie_apart_are_the_files_own_each_time() -> None:
    values = grey(16, 3)
    data = write_tiff(values, TiffLayout(bits=16, photometric=2, apart=True))
    for _ in range(5):
        assert np.array_equal(decode_image(data), values)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16])
def test_white_is_zero_is_inverted_at_every_depth(bits: int) -> None:
    values = grey(bits)
    upright = decode_image(write_tiff((2**bits - 1 - values).astype(values.dtype), TiffLayout(bits=bits)))
    assert np.array_equal(decode_image(write_tiff(values, TiffLayout(bits=bits, photometric=0))), upright)


def test_packed_twelve_bits_are_0_to_4095_as_other_readers_give_them() -> None:
    values = grey(12)
    values[0, 0], values[0, 1] = 2048, 4095
    decoded = decode(write_tiff(values, TiffLayout(bits=12)))
    assert decoded.pixels[0, :2, 0].tolist() == [2048, 4095]
    assert (decoded.pixel_format.bits, decoded.pixel_format.significant_bits) == (12, None)


def test_what_the_file_says_of_its_significant_bits_is_kept() -> None:
    from benchmarks.harness.png_writer import chunk, write_png

    data = write_png(grey(16), 16, 0, (chunk(b"sBIT", bytes([12])),))
    assert decode(data).pixel_format.significant_bits == 12


@pytest.mark.parametrize("kind", [("float", np.float32, 32, 3), ("signed", np.uint16, 16, 2)])
def test_samples_that_are_no_unsigned_numbers_are_refused(kind: tuple[str, Any, int, int]) -> None:
    words, dtype, bits, sample_format = kind
    data = write_tiff(grey(8).astype(dtype), TiffLayout(bits=bits, sample_format=sample_format))
    code, detail = code_of(data)
    assert code == "image_layout_not_supported"
    assert words in detail


def test_two_extra_samples_are_refused() -> None:
    data = write_tiff(grey(8, 5), TiffLayout(photometric=2, extra=(0, 0)))
    code, detail = code_of(data)
    assert code == "image_channels_unexpected"
    assert "the picture has 5 channels" in detail
    code, detail = code_of(write_tiff(grey(8, 5), TiffLayout(photometric=2, extra=(0, 2))))
    assert code == "image_layout_not_supported"
    assert "2 of them" in detail


def test_a_colour_map_of_eight_bits_is_refused_as_decoders_read_it_differently() -> None:
    data = write_tiff(grey(4), TiffLayout(bits=4, photometric=3, colour_map=tuple(range(48))))
    assert code_of(data)[0] == "image_layout_not_supported"


def test_fax_pages_are_refused() -> None:
    stream = io.BytesIO()
    Image.fromarray(grey(1)[:, :, 0] > 0).save(stream, "TIFF", compression="group4")
    code, detail = code_of(stream.getvalue())
    assert code == "image_layout_not_supported"
    assert "CCITT fax 4" in detail


@pytest.mark.parametrize("compression", ["LZW", "Zstandard"])
@pytest.mark.parametrize(("size", "tile"), [((1280, 944), (256, 16)), ((70_000, 8), None)], ids=["tiles", "one strip"])
def test_more_rows_than_libtiff_is_given_at_once(
    compression: str, size: tuple[int, int], tile: tuple[int, int] | None
) -> None:
    """295 tiles of 256 rows are 75,520 rows, one below the other."""
    values = (np.arange(size[0] * size[1]) % 251).astype(np.uint8).reshape(*size, 1)
    data = write_tiff(values, TiffLayout(compression=compression, rows=size[0], tile=tile))
    assert np.array_equal(decode_image(data)[:, :, :1], values)


def test_pillows_own_limit_of_pixels_does_not_count() -> None:
    """Its limit is of pixels, and libtiff is given every byte as one: 16-bit colour would reach it at 15 megapixels."""
    stream = io.BytesIO()
    Image.new("L", (9_500, 9_500)).save(stream, "TIFF", compression="tiff_lzw")  # above its warning at 89 million
    limits = ImageLimits(max_pixels=100_000_000)
    header = read_header(stream.getvalue(), limits)
    assert read_samples(header, stream.getvalue()).values.shape == (9_500, 9_500, 1)
