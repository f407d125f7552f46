"""Decompresses the strips or tiles of one plane of a TIFF into rows of bytes, every one of them or an error.

Deflate and LZMA go through the standard library, which compares their checksums; LZW and Zstandard through libtiff (in
Pillow), which is given the bytes as a grey picture of 8 bits, so that no meaning of samples is left to it. libtiff
stops where the rows are full, so the last segment is tried for a row more than it should have: a header that promises
less than the data hold is damage.
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

LIBTIFF = {"LZW": 5, "Zstandard": 50000}
PADDING = 3  # bytes behind a strip that some writers round its length up by
STACK_ROWS = 60_000  # Pillow takes at most 65,500 or so in one picture


def decompress(
    data: bytes, where: Iterable[tuple[int, int]], compression: str, rows: list[int], row_bytes: int
) -> npt.NDArray[np.uint8]:
    """Segments of `rows` rows each, `where` are their offsets and bytes -> (sum of rows, row_bytes) uint8.

    Raises image_damaged where a segment has too little data or contradicts its checksum.
    """
    if compression in LIBTIFF:
        return _by_libtiff(data, list(where), LIBTIFF[compression], rows, row_bytes)
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
        raise damaged("a strip or tile does not end where its rows do")
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
        raise damaged("a compressed strip or tile does not end where its rows do")
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
        raise damaged("a compressed strip or tile does not end where its rows do")
    return found


def _by_libtiff(
    data: bytes, where: list[tuple[int, int]], compression: int, rows: list[int], row_bytes: int
) -> npt.NDArray[np.uint8]:
    """All but the last segment have equally many rows, as TIFF's strips do."""
    out = np.empty((sum(rows), row_bytes), np.uint8)
    each = max(1, STACK_ROWS // rows[0])
    top = 0
    for first in range(0, len(where), each):
        height = sum(rows[first : first + each])
        file = _grey_tiff(data, where[first : first + each], compression, (row_bytes, height), rows[first])
        try:
            with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
                out[top : top + height] = np.asarray(image)
        except (OSError, ValueError, SyntaxError, RuntimeError) as error:
            raise damaged(f"a strip or tile cannot be decompressed ({error})") from error
        top += height
    if _goes_on(data, where[-1], compression, rows[-1], row_bytes):
        raise damaged("a strip or tile does not end where its rows do")
    return out


def _goes_on(data: bytes, where: tuple[int, int], compression: int, rows: int, row_bytes: int) -> bool:
    file = _grey_tiff(data, [where], compression, (row_bytes, rows + 1), rows + 1)
    try:
        with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, RuntimeError):
        return False
    return True


def _grey_tiff(
    data: bytes, where: list[tuple[int, int]], compression: int, size: tuple[int, int], rows_per_strip: int
) -> bytes:
    """A little-endian TIFF of 8-bit grey whose strips are the given pieces of `data`."""
    count = len(where)
    tables = 8 + 2 + 12 * 9 + 4
    begin = tables + (8 * count if count > 1 else 0)
    lengths = np.array([length for _, length in where], "<u4")
    offsets = (begin + np.concatenate([[0], np.cumsum(lengths[:-1])])).astype("<u4")
    offset_field, length_field = (tables, tables + 4 * count) if count > 1 else (int(offsets[0]), int(lengths[0]))
    entries = [
        *((256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((273, 4, count, offset_field), (277, 3, 1, 1), (278, 4, 1, rows_per_strip), (279, 4, count, length_field)),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    listed = offsets.tobytes() + lengths.tobytes() if count > 1 else b""
    return b"".join([head, listed, *(data[offset : offset + length] for offset, length in where)])
