"""Reads uncompressed Windows bitmaps (BMP): a header, perhaps a palette, and rows from the bottom to the top."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.layouts import NO_EXTRA, OPACITY, UNCOMPRESSED, UNSPECIFIED, Facts, layout_of
from models.imaging.limits import ImageLimits
from models.imaging.packed import unpack
from models.imaging.samples import Header, Samples

HEADER_SIZES = frozenset({40, 52, 56, 108, 124})
COMPRESSIONS = {0: UNCOMPRESSED, 1: "RLE8", 2: "RLE4", 3: UNCOMPRESSED, 4: "JPEG", 5: "PNG"}
BYTE_MASKS = {0xFF << (8 * place): place for place in range(4)}


@dataclass(frozen=True)
class BmpHeader(Header):
    """`places` are the bytes of red, green, blue (and opacity) in a pixel of 3 or 4 bytes."""

    offset: int = 0
    pixel_bits: int = 24
    upwards: bool = True
    places: tuple[int, ...] = (2, 1, 0)
    palette: bytes = b""


def read_header(data: bytes, limits: ImageLimits) -> BmpHeader:
    """Header, masks and palette. Raises ImageError."""
    if len(data) < 18 + 36:
        raise truncated("it has no header")
    offset, size = struct.unpack_from("<II", data, 10)
    if size not in HEADER_SIZES:
        raise ImageError("image_layout_not_supported", f"BMP with a header of {size} bytes is not taken")
    width, height, planes, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if width <= 0 or not height or planes != 1:
        raise damaged(f"its header says {width} x {height} and {planes} planes")
    limits.check_size(width, abs(height))
    masks = _masks(data, size) if compression == 3 else ()
    colour = "palette" if bits <= 8 else "RGB"
    extra = NO_EXTRA if bits != 32 else OPACITY if len(masks) == 4 and masks[3] else UNSPECIFIED
    words = COMPRESSIONS.get(compression, f"number {compression}")
    facts = Facts("BMP", colour, bits=5 if bits == 16 else min(bits, 8), extra=extra, compression=words)
    layout = layout_of(facts)
    if bits not in {1, 4, 8, 24, 32} or (compression == 3) != bool(masks) or (masks and bits != 32):
        raise ImageError("image_layout_not_supported", f"BMP of {bits} bits a pixel with masks {masks} is not taken")
    palette = _palette(data, size, bits) if bits <= 8 else b""
    stride = -(-width * bits // 32) * 4
    if offset < 14 + size or offset + stride * abs(height) > len(data):
        raise truncated(f"{stride * abs(height):,} bytes of pixels from byte {offset:,} were promised")
    return BmpHeader(
        *(facts, layout, width, abs(height), 1, None, offset, bits, height > 0, _places(masks, extra), palette)
    )


def _masks(data: bytes, size: int) -> tuple[int, ...]:
    """Red, green, blue and opacity; they follow a header of 40 bytes, and lie within a longer one."""
    count = 3 if size < 56 else 4
    if len(data) < 54 + 4 * count:
        raise truncated("its masks are missing")
    return struct.unpack_from(f"<{count}I", data, 54)


def _places(masks: tuple[int, ...], extra: str) -> tuple[int, ...]:
    if not masks:
        return (2, 1, 0)
    used = masks if extra == OPACITY else masks[:3]
    if any(mask not in BYTE_MASKS for mask in used) or len(set(used)) != len(used):
        raise ImageError(
            "image_layout_not_supported",
            f"BMP with masks {[f'{mask:08x}' for mask in used]} is not taken: no whole bytes",
        )
    return tuple(BYTE_MASKS[mask] for mask in used)


def _palette(data: bytes, size: int, bits: int) -> bytes:
    (count,) = struct.unpack_from("<I", data, 46)
    count = count or 2**bits
    if count > 2**bits or 14 + size + 4 * count > len(data):
        raise damaged(f"its palette of {count} colours does not fit")
    return data[14 + size : 14 + size + 4 * count]


def read_samples(header: BmpHeader, data: bytes) -> Samples:
    """The samples. Raises image_damaged for an index that its palette does not have."""
    stride = -(-header.width * header.pixel_bits // 32) * 4
    rows: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8, stride * header.height, header.offset)
    rows = rows.reshape(header.height, stride)[:: -1 if header.upwards else 1]
    if header.pixel_bits > 8:
        size = header.pixel_bits // 8
        pixels = rows[:, : header.width * size].reshape(header.height, header.width, size)
        return Samples(pixels[:, :, list(header.places)], 8, "rgb")
    values = unpack(np.ascontiguousarray(rows), header.pixel_bits)[:, : header.width, None]
    palette = np.frombuffer(header.palette, np.uint8).reshape(-1, 4)[:, 2::-1]
    if int(values.max()) >= len(palette):
        raise damaged(f"a pixel names colour {int(values.max())} of a palette of {len(palette)}")
    return Samples(values, header.pixel_bits, "palette", palette=palette)
