"""A number in, that many small pictures of good parts out: what the trial trains on when it is given no artifact."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

SIDE = 64


def png(rows: list[bytes]) -> bytes:
    """An 8-bit grey PNG of `rows` (one byte per pixel each); the trial runs on a bare Python, so without a library."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def good_part(seed: int) -> bytes:
    """A grey plate with a dark square in the middle and the grain of `seed`, as PNG."""
    grain = random.Random(seed)
    inner = range(SIDE // 4, 3 * SIDE // 4)
    return png(
        [
            bytes((70 if x in inner and y in inner else 160) + grain.randrange(24) for x in range(SIDE))
            for y in range(SIDE)
        ]
    )


def write(folder: Path, count: int) -> None:
    """`count` good parts into `folder`, readable by everyone."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03d}.png").write_bytes(good_part(number))
