"""Decompresses the strips or tiles of one plane of a TIFF into rows of bytes, every one of them or an error.

Deflate and LZMA go through the standard library, which compares their checksums; LZW and Zstandard through libtiff (in
Pillow), which is given the bytes as a grey picture of 8 bits, so that no meaning of samples is left to it. libtiff
stops where the rows are full. That a stream holds more than the header promises is damage: a Zstandard stream gets
one known row behind it, which must be what follows; of LZW the shortest stream is counted.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.errors import damaged
from models.imaging.tiff.lzw_length import lzw_length
from models.imaging.tiff.zstandard_frame import with_known_bytes

# Pillow would refuse large images by a limit of its own; ours is checked on every header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

LIBTIFF = {"LZW": 5, "Zstandard": 50000}
TOO_LONG = "a strip or tile does not end where its rows do"
KNOWN = 0xA5  # the byte of the row that is put behind a Zstandard stream
LZW_COUNTED = 2**16  # bytes of a stream that are counted in Python, some 10 ms
PADDING = 3  # bytes behind a strip that some writers round its length up by
STACK_ROWS = 60_000  # Pillow takes at most 65,500 or so in one picture


def decompress(
    data: bytes, where: Iterable[tuple[int, int]], compression: str, rows: list[int], row_bytes: int
) -> npt.NDArray[np.uint8]:
    """Segments of `rows` rows each, `where` are their offsets and bytes -> (sum of rows, row_bytes) uint8.

    Raises image_damaged where a segment has too little data or contradicts its checksum.
    """
    if compression in LIBTIFF:
        return _by_libtiff(data, list(where), compression, rows, row_bytes)
    out = np.empty((sum(rows), row_bytes), np.uint8)
    top = 0
    one: Callable[[bytes, int], bytes] = {
        "none": _stored,
        "Deflate": _inflated,
        "LZMA": _unxz,
        "PackBits": _unpackbits,
    }[compression]
    for (offset, count), height in zip(where, rows, strict=True):
        wanted = height * row_bytes
        found = one(data[offset : offset + count], wanted)
        if len(found) < wanted:
            raise damaged(f"a strip or tile gives {len(found):,} of {wanted:,} bytes")
        out[top : top + height] = np.frombuffer(found, np.uint8, wanted).reshape(height, row_bytes)
        top += height
    return out


def _stored(segment: bytes, wanted: int) -> bytes:
    if len(segment) > wanted + PADDING:
        raise damaged(f"a strip or tile of {wanted:,} bytes has {len(segment):,}")
    return segment[:wanted]


def _unpackbits(segment: bytes, wanted: int) -> bytes:
    """Runs: n < 128 stands before n + 1 bytes as they are, n > 128 before one that is repeated 257 - n times."""
    pieces: list[bytes] = []
    place, length = 0, 0
    while length < wanted and place + 1 < len(segment):
        code = segment[place]
        if code < 128:
            pieces.append(segment[place + 1 : place + 2 + code])
            place += 2 + code
        elif code > 128:
            pieces.append(segment[place + 1 : place + 2] * (257 - code))
            place += 2
        else:  # 128 does nothing
            place += 1
            continue
        length += len(pieces[-1])
    if length > wanted or place + PADDING < len(segment) or place > len(segment):
        raise damaged(TOO_LONG)
    return b"".join(pieces)


def _inflated(segment: bytes, wanted: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(segment, wanted)
        # One byte more makes it read its checksum; a stream that would go on holds other data than the header says.
        more = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise damaged(str(error)) from error
    if more or not stream.eof:
        raise damaged(TOO_LONG)
    return found


def _unxz(segment: bytes, wanted: int) -> bytes:
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * 2**20)
    try:
        found = stream.decompress(segment, wanted)
        while len(found) < wanted and not stream.needs_input and not stream.eof:
            found += stream.decompress(b"", wanted - len(found))
        more = b"" if stream.eof else stream.decompress(b"", 1)
    except lzma.LZMAError as error:
        raise damaged(str(error)) from error
    if more or not stream.eof:
        raise damaged(TOO_LONG)
    return found


def _by_libtiff(
    data: bytes, where: list[tuple[int, int]], compression: str, rows: list[int], row_bytes: int
) -> npt.NDArray[np.uint8]:
    """All but the last segment have equally many rows, as TIFF's strips do."""
    more = 1 if compression == "Zstandard" else 0
    out = np.empty((sum(rows), row_bytes), np.uint8)
    each = max(1, STACK_ROWS // rows[0])
    top = 0
    for first in range(0, len(where), each):
        heights = rows[first : first + each]
        pieces = [data[offset : offset + length] for offset, length in where[first : first + each]]
        if more:
            pieces = [with_known_bytes(piece, KNOWN, row_bytes) for piece in pieces]
        size = (row_bytes, sum(heights) + more * len(heights))
        file = _grey_tiff(pieces, LIBTIFF[compression], size, heights[0] + more)
        try:
            with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
                found = np.asarray(image)
        except (OSError, ValueError, SyntaxError, RuntimeError) as error:
            raise damaged(f"a strip or tile cannot be decompressed ({error})") from error
        place = 0
        for height in heights:
            out[top : top + height] = found[place : place + height]
            if more and (found[place + height] != KNOWN).any():
                raise damaged(TOO_LONG)
            top, place = top + height, place + height + more
    if compression == "LZW":
        _check_lzw(data, where, rows, row_bytes)
    return out


def _check_lzw(data: bytes, where: list[tuple[int, int]], rows: list[int], row_bytes: int) -> None:
    """Counts the shortest stream: where a header promises too little, all streams are too long."""
    (offset, length), height = min(zip(where, rows, strict=True), key=lambda pair: pair[0][1])
    if length <= LZW_COUNTED and lzw_length(data[offset : offset + length]) > height * row_bytes + PADDING:
        raise damaged(TOO_LONG)


def _grey_tiff(pieces: list[bytes], compression: int, size: tuple[int, int], rows_per_strip: int) -> bytes:
    """A little-endian TIFF of 8-bit grey whose strips are the given pieces."""
    count = len(pieces)
    tables = 8 + 2 + 12 * 9 + 4
    begin = tables + (8 * count if count > 1 else 0)
    lengths = np.array([len(piece) for piece in pieces], "<u4")
    offsets = (begin + np.concatenate([[0], np.cumsum(lengths[:-1])])).astype("<u4")
    offset_field, length_field = (tables, tables + 4 * count) if count > 1 else (int(offsets[0]), int(lengths[0]))
    entries = [
        *((256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((273, 4, count, offset_field), (277, 3, 1, 1), (278, 4, 1, rows_per_strip), (279, 4, count, length_field)),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    listed = offsets.tobytes() + lengths.tobytes() if count > 1 else b""
    return b"".join([head, listed, *pieces])
