"""Writes PNG and BMP files of any layout, so that the right answer is known beforehand."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness.tiff_writer import packed_rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Values = npt.NDArray[Any]


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(values: Values, bits: int, colour_type: int, before: tuple[bytes, ...] = (), split: int = 0) -> bytes:
    """Raw samples (H, W, C) -> a file; `before` are chunks between header and image data, which `split` cuts."""
    height, width = values.shape[:2]
    rows = packed_rows(values, bits, ">")
    filtered = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()
    return png_file((width, height, bits, colour_type), zlib.compress(filtered), before, split)


def png_file(header: tuple[int, int, int, int], image: bytes, before: tuple[bytes, ...] = (), split: int = 0) -> bytes:
    """(width, height, depth, colour type) and a compressed stream -> a file."""
    size = split or len(image)
    data = [chunk(b"IDAT", image[at : at + size]) for at in range(0, len(image), size)]
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    return b"".join([SIGNATURE, start, *before, *data, chunk(b"IEND", b"")])


def exif(orientation: int) -> bytes:
    """An EXIF block with nothing but an orientation."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def write_bmp(values: Values, bits: int, palette: Values | None = None, *, alpha_mask: bool = False) -> bytes:
    """Raw indices (H, W, 1), RGB (H, W, 3) or RGB and a fourth channel (H, W, 4) -> a file, bottom row first."""
    height, width = values.shape[:2]
    if bits <= 8:
        rows = packed_rows(values, bits, "<")
    else:
        rows = np.ascontiguousarray(values[:, :, [2, 1, 0, 3][: bits // 8]]).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1]
    colours = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
    size = 108 if alpha_mask else 40
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if alpha_mask else b""
    count = 0 if palette is None else len(palette)
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, 3 if alpha_mask else 0, 0, 0, 0, count, 0)
    header = (header + masks).ljust(size, b"\0")
    offset = 14 + size + len(colours)
    body = rows.tobytes()
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + header + colours + body
