"""Reads one strip or tile of a TIFF piece by piece: not compressed, Deflate, LZMA or PackBits.

Each function takes the bytes of the segment, how many bytes its rows have, and how many are wanted at a time at most;
it gives them in order, fewer where the segment ends early, and raises image_damaged where it holds more than its rows
or contradicts its checksum.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping

from models.imaging.errors import damaged

TOO_LONG = "a strip or tile does not end where its rows do"
PADDING = 3  # bytes behind a strip that some writers round its length up by
FED = 2**16  # compressed bytes that are handed on at a time
Stream = Callable[[memoryview, int, int], Iterator[bytes | memoryview]]


def _stored(segment: memoryview, wanted: int, most: int) -> Iterator[bytes | memoryview]:
    if len(segment) > wanted + PADDING:
        raise damaged(f"a strip or tile of {wanted:,} bytes has {len(segment):,}")
    segment = segment[:wanted]
    for start in range(0, len(segment), most):
        yield segment[start : start + most]


def _inflated(segment: memoryview, wanted: int, most: int) -> Iterator[bytes | memoryview]:
    stream = zlib.decompressobj()
    left, place, tail = wanted, 0, b""
    try:
        while not stream.eof:
            # One byte more than wanted makes it read its checksum, and tells a stream that would go on.
            piece = stream.decompress(tail, min(most, left) or 1)
            tail = stream.unconsumed_tail
            if len(piece) > left:
                raise damaged(TOO_LONG)
            if piece:
                left -= len(piece)
                yield piece
            elif not tail and not stream.eof:
                tail = bytes(segment[place : place + FED])
                place += FED
                if not tail:
                    raise damaged(TOO_LONG)
    except zlib.error as error:
        raise damaged(str(error)) from error


def _unxz(segment: memoryview, wanted: int, most: int) -> Iterator[bytes | memoryview]:
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * 2**20)
    left, place = wanted, 0
    try:
        while not stream.eof:
            fed = b""
            if stream.needs_input:
                fed = bytes(segment[place : place + FED])
                place += FED
                if not fed:
                    raise damaged(TOO_LONG)
            piece = stream.decompress(fed, min(most, left) or 1)
            if len(piece) > left:
                raise damaged(TOO_LONG)
            left -= len(piece)
            if piece:
                yield piece
    except lzma.LZMAError as error:
        raise damaged(str(error)) from error


def _unpackbits(segment: memoryview, wanted: int, most: int) -> Iterator[bytes | memoryview]:
    """Runs: n < 128 stands before n + 1 bytes as they are, n > 128 before one that is repeated 257 - n times."""
    pieces: list[bytes] = []
    place, length, held = 0, 0, 0
    while length < wanted and place + 1 < len(segment):
        code = segment[place]
        if code < 128:
            pieces.append(bytes(segment[place + 1 : place + 2 + code]))
            place += 2 + code
        elif code > 128:
            pieces.append(bytes(segment[place + 1 : place + 2]) * (257 - code))
            place += 2
        else:  # 128 does nothing
            place += 1
            continue
        length += len(pieces[-1])
        held += len(pieces[-1])
        if length > wanted:
            raise damaged(TOO_LONG)
        if held >= most:
            yield b"".join(pieces)
            pieces, held = [], 0
    if place + PADDING < len(segment) or place > len(segment):
        raise damaged(TOO_LONG)
    yield b"".join(pieces)


STREAMS: Mapping[str, Stream] = {
    "none": _stored,
    "Deflate": _inflated,
    "LZMA": _unxz,
    "PackBits": _unpackbits,
}
