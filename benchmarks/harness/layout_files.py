"""Writes one file for every row of the table of layouts, each with the RGB that it must give."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.harness import layout_truth as truth
from benchmarks.harness.png_writer import chunk, exif, write_bmp, write_png
from benchmarks.harness.tiff_writer import TiffLayout, tiff_file, write_tiff
from models.imaging.layouts import APART, LAYOUTS, NAMED, OPACITY, PREMULTIPLIED, Layout

Values = npt.NDArray[Any]
PNG_TYPES = {("grey", False): 0, ("RGB", False): 2, ("grey", True): 4, ("RGB", True): 6}
TIFF_COLOURS = {"white is zero": 0, "black is zero": 1, "RGB": 2, "palette": 3, "CMYK": 5}
EXTRAS = {"unspecified": 0, PREMULTIPLIED: 1, OPACITY: 2}


@dataclass(frozen=True)
class Case:
    """One cell of the table: a row, and one value of each facet."""

    layout: Layout
    colour: str
    bits: int
    planes: str
    extra: str
    compression: str

    @property
    def name(self) -> str:
        """All facets in words."""
        return f"{self.layout.format} {self.colour} {self.bits} {self.planes} {self.extra} {self.compression}"


@dataclass(frozen=True, eq=False)
class Written:
    """A file; the RGB it must give (None where only decoders tell), and how far that may be off (lossy formats)."""

    data: bytes
    expected: Values | None
    blended: bool = False


def cases() -> Iterator[Case]:
    """Every cell of the table."""
    for row in LAYOUTS:
        for facets in product(row.colour, row.bits, row.planes, row.extra, row.compression):
            yield Case(row, *facets)


def write(case: Case, random: np.random.Generator, size: tuple[int, int] = (24, 19), orientation: int = 1) -> Written:
    """A file of one case with samples by chance, (height, width) in pixels."""
    by_format = {"PNG": _png, "JPEG": _jpeg, "BMP": _bmp, "WEBP": _webp, "TIFF": _tiff}
    return by_format[case.layout.format](case, random, size, orientation)


def samples(random: np.random.Generator, size: tuple[int, int], channels: int, bits: int) -> Values:
    """Raw values over the whole range, runs of equal ones among them so that compressors have something to do."""
    values = random.integers(0, 2**bits, (*size, channels))
    values[size[0] // 2 :, : size[1] // 2] = values[0, 0]
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def _png(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    before: tuple[bytes, ...] = (chunk(b"eXIf", exif(orientation)),)
    if case.colour == "palette":
        count = 2**case.bits
        palette, indices = samples(random, (count, 1), 3, 8)[:, 0], samples(random, size, 1, case.bits)
        opacities = random.integers(0, 256, count) if case.extra == OPACITY else None
        before += (chunk(b"PLTE", palette.tobytes()),)
        if opacities is not None:
            before += (chunk(b"tRNS", opacities.astype(np.uint8).tobytes()),)
        rgb = truth.from_palette(indices, palette, opacities)
        data = write_png(indices, case.bits, 3, before)
        return Written(data, truth.turned(rgb, orientation), blended=opacities is not None)
    colours = 1 if case.colour == "grey" else 3
    has_opacity = case.extra == OPACITY
    values = samples(random, size, colours + has_opacity, case.bits)
    opacity = values[:, :, -1] if has_opacity else None
    if case.extra == NAMED:
        named = values[1, 1]
        before += (chunk(b"tRNS", named.astype(">u2").tobytes()),)
        opacity = np.where((values == named).all(axis=2), 0, 2**case.bits - 1)
    data = write_png(values, case.bits, PNG_TYPES[case.colour, has_opacity], before)
    rgb = truth.shown(values[:, :, :colours], case.bits, opacity=opacity)
    return Written(data, truth.turned(rgb, orientation), blended=opacity is not None)


def _bmp(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    if case.colour == "palette":
        palette, indices = samples(random, (2**case.bits, 1), 3, 8)[:, 0], samples(random, size, 1, case.bits)
        return Written(write_bmp(indices, case.bits, palette), truth.from_palette(indices, palette))
    channels = 3 if case.extra == "none" else 4
    values = samples(random, size, channels, 8)
    opacity = values[:, :, 3] if case.extra == OPACITY else None
    data = write_bmp(values, 8 * channels, alpha_mask=opacity is not None)
    return Written(data, truth.shown(values[:, :, :3], 8, opacity=opacity), blended=opacity is not None)


def smooth(random: np.random.Generator, size: tuple[int, int], channels: int) -> Values:
    """8-bit values without sharp edges, as lossy formats like them."""
    rows, columns = np.linspace(0, 3, size[0])[:, None, None], np.linspace(0, 4, size[1])[None, :, None]
    waves = np.sin(rows * random.uniform(0.5, 2, channels) + columns + random.uniform(0, 6, channels))
    return np.asarray(np.rint(128 + 100 * waves), dtype=np.uint8)


def _jpeg(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    options: dict[str, Any] = {"quality": 92, "progressive": case.compression == "progressive"}
    mode = {"grey": "L", "YCbCr": "RGB", "RGB": "RGB"}.get(case.colour, "CMYK")
    values = smooth(random, size, {"L": 1, "RGB": 3, "CMYK": 4}[mode])
    image = Image.fromarray(values[:, :, 0] if mode == "L" else values, mode)
    stream = io.BytesIO()
    tags = Image.Exif()
    tags[274] = orientation
    image.save(stream, "JPEG", keep_rgb=case.colour == "RGB", exif=tags, **options)
    data = stream.getvalue()
    if case.compression == "extended":
        at = data.index(b"\xff\xc0")
        data = data[:at] + b"\xff\xc1" + data[at + 2 :]
    return Written(data, None)


def _webp(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    values = smooth(random, size, 3 if case.extra == "none" else 4)
    stream = io.BytesIO()
    tags = Image.Exif()
    tags[274] = orientation
    lossless = case.compression == "lossless"
    Image.fromarray(values).save(stream, "WEBP", lossless=lossless, exact=True, exif=tags, quality=90)
    opacity = values[:, :, 3] if case.extra == OPACITY else None
    rgb = truth.turned(truth.shown(values[:, :, :3], 8, opacity=opacity), orientation) if lossless else None
    return Written(stream.getvalue(), rgb, blended=opacity is not None)


def _tiff(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    if case.compression == "JPEG":
        return _jpeg_tiff(case, random, size, orientation)
    colours = {"RGB": 3, "CMYK": 4}.get(case.colour, 1)
    values = samples(random, size, colours + (case.extra != "none"), case.bits)
    palette = samples(random, (2**case.bits, 1), 3, 16)[:, 0] if case.colour == "palette" else None
    layout = TiffLayout(
        bits=case.bits,
        photometric=TIFF_COLOURS[case.colour],
        apart=case.planes == APART,
        extra=None if case.extra == "none" else (EXTRAS[case.extra],),
        order=str(random.choice(["<", ">"])),
        compression=case.compression,
        rows=int(random.integers(1, size[0] + 1)),
        tile=(16, 16) if random.random() < 0.3 else None,
        predictor=int(random.integers(1, 3)) if case.bits in (8, 16) and case.compression != "none" else 1,
        orientation=orientation,
        big=bool(random.random() < 0.2),
        colour_map=() if palette is None else tuple(palette.T.ravel().tolist()),
    )
    data = write_tiff(values, layout)
    if palette is not None:
        rgb = truth.from_palette(values, palette >> 8)
    elif case.colour == "CMYK":
        rgb = truth.from_inks(values[:, :, :4], case.bits)
    else:
        opacity = values[:, :, -1] if case.extra == OPACITY else None
        rgb = truth.shown(values[:, :, :colours], case.bits, inverted=case.colour == "white is zero", opacity=opacity)
    return Written(data, truth.turned(rgb, orientation), blended=case.extra in {OPACITY, PREMULTIPLIED})


def _jpeg_tiff(case: Case, random: np.random.Generator, size: tuple[int, int], orientation: int) -> Written:
    grey = "zero" in case.colour
    values = smooth(random, size, 1 if grey else 3)
    photometric = {"black is zero": 1, "white is zero": 0, "RGB": 2, "YCbCr": 6}[case.colour]
    pieces = []
    for top in range(0, size[0], 16):
        stream = io.BytesIO()
        part = values[top : top + 16]
        options: dict[str, Any] = {"keep_rgb": case.colour == "RGB", "quality": 92}
        if case.colour == "YCbCr":
            options["subsampling"] = 2
        Image.fromarray(part[:, :, 0] if grey else part).save(stream, "JPEG", **options)
        pieces.append(stream.getvalue())
    channels = values.shape[2]
    tags: list[tuple[int, int, list[int]]] = [
        *((256, 3, [size[1]]), (257, 3, [size[0]]), (258, 3, [8] * channels), (259, 3, [7])),
        *((262, 3, [photometric]), (274, 3, [orientation]), (277, 3, [channels]), (278, 3, [16])),
        *(((530, 3, [2, 2]),) if case.colour == "YCbCr" else ()),
    ]
    return Written(tiff_file(tags, pieces, "<"), None)
