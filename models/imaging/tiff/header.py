"""Reads what a TIFF's tags say of its samples, and where its strips or tiles lie. Nothing is decoded here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.layouts import (
    APART,
    FURTHER,
    NO_EXTRA,
    OPACITY,
    PREMULTIPLIED,
    TOGETHER,
    UNCOMPRESSED,
    UNSPECIFIED,
    Facts,
    layout_of,
)
from models.imaging.limits import TIFF_SEGMENTS, ImageLimits, check_count
from models.imaging.orientation import ORIENTATION_TAG, valid_orientation
from models.imaging.samples import Header
from models.imaging.tiff.directory import UNSIGNED, Directory, check_metadata, read_directory

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, MAX_SAMPLE, PLANAR = 273, 277, 278, 279, 281, 284
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 332, 338, 339, 347
NEEDED = frozenset({STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES, COLOUR_MAP, JPEG_TABLES, BITS})

COMPRESSIONS = {
    1: UNCOMPRESSED,
    2: "CCITT",
    3: "CCITT fax 3",
    4: "CCITT fax 4",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
    34712: "JPEG 2000",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
PHOTOMETRICS = {
    0: "white is zero",
    1: "black is zero",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "colour filter array",
    34892: "linear raw",
}
CHANNELS = {"RGB": 3, "YCbCr": 3, "CMYK": 4}
FORMATS = {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex signed", 6: "complex float"}
EXTRAS = {0: UNSPECIFIED, 1: PREMULTIPLIED, 2: OPACITY}


@dataclass(frozen=True, eq=False)
class TiffHeader(Header):
    """The header, and the grid of segments (strips or tiles), plane after plane, each with its offset and bytes.

    `segment` is (rows, columns) in pixels; a strip is as wide as the image. `samples` counts all channels.
    """

    order: str = "<"
    samples: int = 1
    segment: tuple[int, int] = (0, 0)
    tiled: bool = False
    offsets: npt.NDArray[np.int64] | None = None
    counts: npt.NDArray[np.int64] | None = None
    predictor: int = 1
    colour_map: npt.NDArray[np.int64] | None = None
    tables: bytes = b""

    @property
    def apart(self) -> bool:
        """Whether each channel lies in a plane of its own."""
        return self.facts.planes == APART


def read_header(data: bytes, limits: ImageLimits) -> TiffHeader:
    """The first directory is read; a second one is refused. Raises ImageError."""
    tags = read_directory(data)
    found = _page(tags, data, limits)
    if tags.next:
        raise ImageError("image_multiple_frames", "the file holds more than one page; send each as an image of its own")
    return found


def read_pages(data: bytes, limits: ImageLimits, most: int) -> list[TiffHeader]:
    """The headers of all pages, each of which is within the limits. Raises ImageError for more than `most`."""
    found: list[TiffHeader] = []
    following: int | None = None
    while following != 0:
        if len(found) == most:
            raise ImageError("image_channels_unexpected", f"the file has more than {most} pages")
        tags = read_directory(data, at=following)
        found.append(_page(tags, data, limits))
        following = tags.next
    return found


def _page(tags: Directory, data: bytes, limits: ImageLimits) -> TiffHeader:
    check_metadata(tags, NEEDED)
    width, height = tags.one(WIDTH, 0), tags.one(HEIGHT, 0)
    limits.check_size(width, height)
    facts = _facts(tags)
    layout = layout_of(facts)
    samples = tags.one(SAMPLES, 1)
    _check_rest(tags, facts)
    segment, tiled, offsets, counts = _grid(tags, width, height, samples if facts.planes == APART else 1)
    _check_segments(segment, offsets, counts, len(data), facts, samples, width * height)
    most = tags.values(MAX_SAMPLE)
    significant = min(facts.bits, max(most).bit_length()) if most and max(most) > 0 else None
    return TiffHeader(
        *(facts, layout, width, height, valid_orientation(tags.values(ORIENTATION_TAG)), significant),
        order=tags.order,
        samples=samples,
        segment=segment,
        tiled=tiled,
        offsets=offsets,
        counts=counts,
        predictor=tags.one(PREDICTOR, 1),
        colour_map=_colour_map(tags, facts.bits) if facts.colour == "palette" else None,
        tables=tags.bytes(JPEG_TABLES),
    )


def _facts(tags: Directory) -> Facts:
    samples = tags.one(SAMPLES, 1)
    check_count("samples a pixel", samples, 16)
    bits = tags.values(BITS) or (1,)
    kinds = tags.values(SAMPLE_FORMAT) or (1,)
    if PHOTOMETRIC not in tags.entries:
        raise ImageError("image_layout_not_supported", "TIFF that does not say what its samples mean is not taken")
    if len(set(bits)) > 1 or len(set(kinds)) > 1 or len(bits) not in {1, samples}:
        raise ImageError("image_layout_not_supported", f"TIFF with samples of unequal kinds ({bits} bits) is not taken")
    photometric, compression = tags.one(PHOTOMETRIC, 0), tags.one(COMPRESSION, 1)
    colour = PHOTOMETRICS.get(photometric, f"number {photometric}")
    extra = samples - CHANNELS.get(colour, 1)
    named = tags.values(EXTRA_SAMPLES) or (0,) * max(0, extra)
    if extra < 0 or len(named) != extra:
        raise damaged(f"{samples} samples a pixel do not fit {colour} with {len(named)} extra samples")
    return Facts(
        "TIFF",
        colour,
        sample=FORMATS.get(kinds[0], f"number {kinds[0]}"),
        bits=bits[0],
        planes=APART if tags.one(PLANAR, 1) == 2 and samples > 1 else TOGETHER,
        extra=_extra(named),
        compression=COMPRESSIONS.get(compression, f"number {compression}"),
    )


def _extra(named: tuple[int, ...]) -> str:
    if len(named) > 1:
        return f"{len(named)} of them" if any(named) else FURTHER
    return EXTRAS.get(named[0], f"number {named[0]}") if named else NO_EXTRA


def _check_rest(tags: Directory, facts: Facts) -> None:
    """Facets that have one value in every row of the table."""
    predictor = tags.one(PREDICTOR, 1)
    if tags.one(FILL_ORDER, 1) != 1:
        raise ImageError("image_layout_not_supported", "TIFF with bits in reversed order (FillOrder 2) is not taken")
    if predictor not in {1, 2} or (predictor == 2 and facts.bits not in {8, 16}):
        raise ImageError(
            "image_layout_not_supported", f"TIFF with predictor {predictor} at {facts.bits} bits is not taken"
        )
    if facts.colour == "CMYK" and tags.one(INK_SET, 1) != 1:
        raise ImageError("image_layout_not_supported", "TIFF with inks other than CMYK is not taken")
    if tags.one(PLANAR, 1) not in {1, 2}:
        raise damaged(f"planar configuration {tags.one(PLANAR, 1)} does not exist")


def _grid(
    tags: Directory, width: int, height: int, planes: int
) -> tuple[tuple[int, int], bool, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    tiled = TILE_OFFSETS in tags.entries
    if tiled:
        segment = tags.one(TILE_HEIGHT, 0), tags.one(TILE_WIDTH, 0)
        offsets, counts = TILE_OFFSETS, TILE_BYTES
    else:
        segment = min(height, tags.one(ROWS_PER_STRIP, height)), width
        offsets, counts = STRIP_OFFSETS, STRIP_BYTES
    if min(segment) <= 0:
        raise damaged(f"its strips or tiles are {segment[1]} x {segment[0]}")
    expected = -(-height // segment[0]) * -(-width // segment[1]) * planes
    check_count("strips or tiles", expected, TIFF_SEGMENTS)
    for tag in (offsets, counts):
        entry = tags.entries.get(tag)
        found = entry.count if entry and entry.kind in UNSIGNED else 0
        if found != expected:
            raise damaged(f"{expected} strips or tiles are needed, tag {tag} lists {found}")
    return segment, tiled, tags.array(offsets), tags.array(counts)


def _check_segments(
    segment: tuple[int, int],
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    size: int,
    facts: Facts,
    samples: int,
    pixels: int,
) -> None:
    if int((offsets + counts).max()) > size:
        raise truncated(f"its strips or tiles reach to byte {int((offsets + counts).max()):,} of {size:,}")
    if int(counts.min()) == 0 or int(offsets.min()) < 8:
        raise damaged("a strip or tile is missing")
    if int(counts.sum()) > size:
        raise damaged("its strips or tiles overlap")
    per_plane = len(offsets) // (samples if facts.planes == APART else 1)
    check_count("pixels in its tiles", per_plane * segment[0] * segment[1], 4 * pixels + 2**20)


def _colour_map(tags: Directory, bits: int) -> npt.NDArray[np.int64]:
    found = tags.array(COLOUR_MAP)
    if len(found) != 3 * 2**bits:
        raise damaged(f"its colour map has {len(found)} values; {3 * 2**bits} are needed")
    if 0 < int(found.max()) < 256:
        raise ImageError("image_layout_not_supported", "TIFF with a colour map of 8 bits is not taken; it has 16")
    return found
