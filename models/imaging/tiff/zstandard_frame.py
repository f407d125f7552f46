"""Puts bytes of one known value behind what a Zstandard frame holds, so that its true length can be seen.

libtiff stops decompressing where its rows are full. A frame that libtiff wrote does not say how much it holds, so a
header that promises too little would go unnoticed. With a known row at the end, the row behind the promised ones must
be it. A frame's own length and checksum, which libtiff neither writes nor compares, are left out. The layout of frames
and blocks is that of RFC 8878, section 3.1.1.
"""

from __future__ import annotations

from models.imaging.errors import damaged, truncated

MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST_BLOCK = 2**17
SMALLEST_WINDOW = 2**10
PADDING = 3  # bytes behind a frame that some writers round its length up by
REPEATED = 1  # type of a block that holds one byte, to be repeated


def with_known_bytes(frame: bytes, value: int, count: int) -> bytes:
    """A frame -> one that holds `count` times `value` more. Raises ImageError for what is no single whole frame."""
    if frame[:4] != MAGIC or len(frame) < 9:
        raise damaged("a Zstandard strip does not begin as one")
    flags = frame[4]
    single, checksum, dictionary = flags >> 5 & 1, flags >> 2 & 1, flags & 3
    size_bytes = (single, 2, 4, 8)[flags >> 6]
    if dictionary:
        raise damaged("a Zstandard strip needs a dictionary")
    start = 5 + (1 - single) + size_bytes
    content = int.from_bytes(frame[start - size_bytes : start], "little") + (256 if size_bytes == 2 else 0)
    window = content if single else _window(frame[5])
    place = _last_block(frame, start)
    last = int.from_bytes(frame[place : place + 3], "little")
    end = place + 3 + _length(last)
    if not end + 4 * checksum <= len(frame) <= end + 4 * checksum + PADDING:
        raise damaged("a Zstandard strip does not end where its frame does")
    header = MAGIC + bytes([0, _descriptor(window)])
    blocks = [header, frame[start:place], (last & ~1).to_bytes(3, "little"), frame[place + 3 : end]]
    most = min(max(window, SMALLEST_WINDOW), LARGEST_BLOCK)
    for at in range(0, count, most):
        size = min(most, count - at)
        blocks.append((int(at + size == count) | REPEATED << 1 | size << 3).to_bytes(3, "little") + bytes([value]))
    return b"".join(blocks)


def _window(descriptor: int) -> int:
    base = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)


def _descriptor(size: int) -> int:
    """The smallest window of a power of two that holds `size` bytes."""
    return max(0, (max(size, 1) - 1).bit_length() - 10) << 3


def _length(block: int) -> int:
    return 1 if block >> 1 & 3 == REPEATED else block >> 3


def _last_block(frame: bytes, place: int) -> int:
    while True:
        if place + 3 > len(frame):
            raise truncated("a Zstandard strip ends before its last block")
        block = int.from_bytes(frame[place : place + 3], "little")
        if block & 1:
            return place
        place += 3 + _length(block)
