"""Writes TIFF files of any layout, also those that no library writes, so that the right answer is known beforehand."""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

COMPRESSIONS = {"none": 1, "LZW": 5, "Deflate": 8, "PackBits": 32773, "LZMA": 34925, "Zstandard": 50000}
PILLOW = {"LZW": "tiff_lzw", "PackBits": "packbits", "Zstandard": "zstd"}
KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class TiffLayout:
    """How a TIFF is laid out. `tile` is (rows, columns); `order` '<' or '>'; `big` writes BigTIFF."""

    bits: int = 8
    photometric: int = 1
    apart: bool = False
    extra: tuple[int, ...] | None = None
    order: str = "<"
    compression: str = "none"
    rows: int = 7
    tile: tuple[int, int] | None = None
    predictor: int = 1
    sample_format: int = 1
    orientation: int = 1
    big: bool = False
    colour_map: tuple[int, ...] = ()


def write_tiff(values: Values, layout: TiffLayout) -> bytes:
    """Raw samples (H, W, C) -> a file."""
    height, width, channels = values.shape
    planes = [values[:, :, [channel]] for channel in range(channels)] if layout.apart else [values]
    pieces = [_compressed(part, layout) for plane in planes for part in _parts(plane, layout)]
    tags: list[tuple[int, int, list[int]]] = [
        *((256, 4, [width]), (257, 4, [height]), (258, 3, [layout.bits] * channels)),
        *((259, 3, [COMPRESSIONS[layout.compression]]), (262, 3, [layout.photometric])),
        *((274, 3, [layout.orientation]), (277, 3, [channels]), (284, 3, [2 if layout.apart else 1])),
        *((317, 3, [layout.predictor]), (339, 3, [layout.sample_format] * channels)),
    ]
    if layout.extra is not None:
        tags.append((338, 3, list(layout.extra)))
    if layout.colour_map:
        tags.append((320, 3, list(layout.colour_map)))
    if layout.tile:
        tags += [(322, 3, [layout.tile[1]]), (323, 3, [layout.tile[0]])]
    else:
        tags.append((278, 4, [layout.rows]))
    return tiff_file(tags, pieces, layout.order, tiled=layout.tile is not None, big=layout.big)


def tiff_file(
    tags: list[tuple[int, int, list[int]]], pieces: list[bytes], order: str, *, tiled: bool = False, big: bool = False
) -> bytes:
    """Tags (number, type, values) and the bytes of strips or tiles -> a file of one directory."""
    where = 324 if tiled else 273
    counts = 325 if tiled else 279
    tags = sorted([*tags, (where, 4, [0] * len(pieces)), (counts, 4, [len(piece) for piece in pieces])])
    begin = 16 if big else 8
    number, entry, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    size = struct.calcsize(order + number) + entry * len(tags) + inline
    outside = begin + size
    blocks: list[tuple[int, bytes]] = []
    for tag, kind, values in tags:
        length = struct.calcsize(KINDS[kind]) * len(values)
        if length > inline:
            blocks.append((tag, b""))
            outside += length + length % 2
    first, place = outside, begin + size
    offsets = (first + np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])[:-1]])).astype(int).tolist()
    body, later = b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(f"{order}{len(values)}{KINDS[kind]}", *(offsets if tag == where else values))
        if len(packed) > inline:
            field = struct.pack(order + ("Q" if big else "I"), place)
            packed += bytes(len(packed) % 2)
            later += packed
            place += len(packed)
        else:
            field = packed.ljust(inline, b"\0")
        body += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, len(values)) + field
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    return head + struct.pack(order + number, len(tags)) + body + bytes(inline) + later + b"".join(pieces)


def _parts(plane: Values, layout: TiffLayout) -> list[Values]:
    height, width = plane.shape[:2]
    if not layout.tile:
        return [plane[top : top + layout.rows] for top in range(0, height, layout.rows)]
    rows, columns = layout.tile
    padded = np.pad(plane, ((0, -height % rows), (0, -width % columns), (0, 0)))
    return [
        padded[top : top + rows, left : left + columns]
        for top in range(0, height, rows)
        for left in range(0, width, columns)
    ]


def _compressed(part: Values, layout: TiffLayout) -> bytes:
    rows = packed_rows(_differences(part, layout), layout.bits, layout.order)
    if layout.compression == "none":
        return rows.tobytes()
    if layout.compression == "Deflate":
        return zlib.compress(rows.tobytes())
    if layout.compression == "LZMA":
        return lzma.compress(rows.tobytes(), lzma.FORMAT_XZ, lzma.CHECK_CRC32)
    stream = io.BytesIO()
    options = {"compression": PILLOW[layout.compression], "tiffinfo": {278: len(rows)}}
    Image.fromarray(rows).save(stream, "TIFF", **options)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        (offset,), (count,) = tags[273], tags[279]
    return stream.getvalue()[offset : offset + count]


def _differences(part: Values, layout: TiffLayout) -> Values:
    if layout.predictor == 1:
        return part
    kind = np.uint8 if layout.bits == 8 else np.uint16
    before = np.pad(part[:, :-1], ((0, 0), (1, 0), (0, 0)))
    return np.asarray((part.astype(np.int64) - before).astype(kind))


def packed_rows(values: Values, bits: int, order: str) -> npt.NDArray[np.uint8]:
    """(H, W, C) -> bytes of rows: whole numbers of 8, 16 or 32 bits in the byte order, others packed from the top."""
    rows = values.reshape(len(values), -1)
    if values.dtype.kind == "f" or bits == 32:
        return np.ascontiguousarray(rows.astype(f"{order}{values.dtype.kind}4")).view(np.uint8)
    if bits == 16:
        return np.ascontiguousarray(rows.astype(order + "u2")).view(np.uint8)
    places = np.arange(bits - 1, -1, -1)
    single = (rows.astype(np.int64)[:, :, None] >> places & 1).astype(np.uint8)
    return np.packbits(single.reshape(len(rows), -1), axis=1)
