"""Decompresses the strips or tiles of one plane of a TIFF into rows of bytes, every one of them or an error.

Rows come in blocks, so that a picture need not be held as bytes before it becomes numbers. A stream of Deflate, LZMA or
PackBits, or a strip that is not compressed, is read as far as a block needs, however long it is; one of LZW or
Zstandard is decompressed as a whole (some writers put the picture into one strip).

Deflate and LZMA go through the standard library, which compares their checksums; LZW and Zstandard through libtiff (in
Pillow), which is given the bytes as a grey picture of 8 bits, so that no meaning of samples is left to it. libtiff
stops where the rows are full. That a stream holds more than the header promises is damage: a Zstandard stream gets
one known row behind it, which must be what follows; of LZW the shortest stream is counted.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.errors import damaged
from models.imaging.tiff.lzw_length import lzw_length
from models.imaging.tiff.streams import PADDING, STREAMS, TOO_LONG
from models.imaging.tiff.zstandard_frame import with_known_bytes

# Pillow would refuse large images by a limit of its own; ours is checked on every header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

Rows = npt.NDArray[np.uint8]
LIBTIFF = {"LZW": 5, "Zstandard": 50000}
KNOWN = 0xA5  # the byte of the row that is put behind a Zstandard stream
LZW_COUNTED = 2**16  # bytes of a stream that are counted in Python, some 10 ms
STACK_ROWS = 60_000  # Pillow takes at most 65,500 or so in one picture


def blocks_of_rows(
    data: bytes, where: list[tuple[int, int]], compression: str, rows: list[int], row_bytes: int, block: int
) -> Iterator[Rows]:
    """Segments of `rows` rows each, `where` are their offsets and bytes -> (`block`, row_bytes) each, in order.

    The last one has fewer rows where they do not divide. Each is an array of its own. Raises image_damaged where a
    segment has too little data or contradicts its checksum, once it gets there.
    """
    pieces = (_by_libtiff if compression in LIBTIFF else _by_stream)(data, where, compression, rows, row_bytes, block)
    left = sum(rows)
    out = np.empty((min(block, left), row_bytes), np.uint8)
    filled = 0
    for piece in pieces:
        while len(piece):
            taken = min(len(piece), len(out) - filled)
            out[filled : filled + taken] = piece[:taken]
            piece, filled = piece[taken:], filled + taken
            if filled == len(out):
                yield out
                left -= filled
                out, filled = np.empty((min(block, left), row_bytes), np.uint8), 0


def _by_stream(
    data: bytes, where: list[tuple[int, int]], compression: str, rows: list[int], row_bytes: int, block: int
) -> Iterator[Rows]:
    held = memoryview(data)
    for (offset, count), height in zip(where, rows, strict=True):
        wanted, found, rest = height * row_bytes, 0, b""
        for piece in STREAMS[compression](held[offset : offset + count], wanted, block * row_bytes):
            found += len(piece)
            joined = b"".join([rest, piece]) if rest else piece
            whole = len(joined) // row_bytes
            if whole:
                yield np.frombuffer(joined, np.uint8, whole * row_bytes).reshape(whole, row_bytes)
            rest = bytes(joined[whole * row_bytes :])
        if found < wanted:
            raise damaged(f"a strip or tile gives {found:,} of {wanted:,} bytes")


def _by_libtiff(
    data: bytes, where: list[tuple[int, int]], compression: str, rows: list[int], row_bytes: int, block: int
) -> Iterator[Rows]:
    """All but the last segment have equally many rows, as TIFF's strips do."""
    more = 1 if compression == "Zstandard" else 0
    if compression == "LZW":
        _check_lzw(data, where, rows, row_bytes)
    each = max(1, min(block, STACK_ROWS) // rows[0])
    for first in range(0, len(where), each):
        heights = rows[first : first + each]
        pieces = [data[offset : offset + length] for offset, length in where[first : first + each]]
        if more:
            pieces = [with_known_bytes(piece, KNOWN, row_bytes) for piece in pieces]
        size = (row_bytes, sum(heights) + more * len(heights))
        file = _grey_tiff(pieces, LIBTIFF[compression], size, heights[0] + more)
        del pieces
        yield from _rows_of_picture(_decompressed(file), heights, more, block)


def _decompressed(file: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        raise damaged(f"a strip or tile cannot be decompressed ({error})") from error


def _rows_of_picture(image: Image.Image, heights: list[int], more: int, block: int) -> Iterator[Rows]:
    """The rows of segments that lie one below the other, each with `more` known rows behind it."""
    top = 0
    for height in heights:
        for start in range(0, height, block):
            end = min(height, start + block)
            yield np.asarray(image.crop((0, top + start, image.width, top + end)))
        top += height + more
        if more and (np.asarray(image.crop((0, top - more, image.width, top))) != KNOWN).any():
            raise damaged(TOO_LONG)


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
