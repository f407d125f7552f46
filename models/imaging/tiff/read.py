"""Puts the samples of a TIFF together: bytes of strips or tiles -> numbers -> planes -> raw samples (H, W, C)."""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.imaging.errors import damaged
from models.imaging.jpeg import strict
from models.imaging.jpeg_markers import read_markers
from models.imaging.layouts import PREMULTIPLIED, UNSPECIFIED
from models.imaging.packed import unpack
from models.imaging.samples import Samples
from models.imaging.tiff.header import CHANNELS, TiffHeader
from models.imaging.tiff.segments import decompress


def read_samples(header: TiffHeader, data: bytes) -> Samples:
    """The raw samples, extra ones that are no opacity left out. Raises ImageError."""
    facts = header.facts
    kept = CHANNELS.get(facts.colour, 1) + (facts.extra not in {"none", UNSPECIFIED, PREMULTIPLIED})
    if facts.compression == "JPEG":
        values = _jpeg_plane(header, data)
    elif header.apart:
        values = _planes_together(header, data, kept)
    else:
        values = _plane(header, data, 0, header.samples)[:, :, :kept]
    colour: Literal["grey", "rgb", "palette", "cmyk"] = "grey"
    if facts.colour in {"RGB", "YCbCr"}:
        colour = "rgb"
    elif facts.colour == "palette":
        colour = "palette"
    elif facts.colour == "CMYK":
        colour = "cmyk"
    palette = None if header.colour_map is None else (header.colour_map.reshape(3, -1).T >> 8).astype(np.uint8)
    inverted = facts.colour == "white is zero"
    return Samples(values, facts.bits, colour, inverted, palette, lossy=facts.compression == "JPEG")


def _planes_together(header: TiffHeader, data: bytes, kept: int) -> npt.NDArray[Any]:
    kind = np.uint8 if header.facts.bits <= 8 else np.uint16
    out = np.empty((header.height, header.width, kept), kind)
    for channel in range(header.samples):
        plane = _plane(header, data, channel, 1)[:, :, 0]
        if channel < kept:  # the others are read for their damage alone
            out[:, :, channel] = plane
    return out


def _plane(header: TiffHeader, data: bytes, index: int, samples: int) -> npt.NDArray[Any]:
    """One plane of `samples` interleaved channels: (H, W, samples)."""
    offsets, counts = _places(header)
    per_plane = len(offsets) // (header.samples if header.apart else 1)
    where = list(zip(offsets, counts, strict=True))[index * per_plane : (index + 1) * per_plane]
    rows, columns = header.segment
    heights = [rows] * per_plane
    if not header.tiled:
        heights[-1] = header.height - rows * (per_plane - 1)
    row_bytes = -(-columns * samples * header.facts.bits // 8)
    segments = decompress(data, where, header.facts.compression, heights, row_bytes)
    numbers = _numbers(segments, header, columns, samples)
    return _tiles_together(numbers, header) if header.tiled else numbers


def _places(header: TiffHeader) -> tuple[list[int], list[int]]:
    if header.offsets is None or header.counts is None:
        raise damaged("it has no strips or tiles")
    return header.offsets.tolist(), header.counts.tolist()


def _numbers(rows: npt.NDArray[np.uint8], header: TiffHeader, columns: int, samples: int) -> npt.NDArray[Any]:
    """Rows of bytes -> (H, columns, samples) in the machine's own byte order, differences summed up."""
    bits = header.facts.bits
    values: npt.NDArray[Any]
    if bits == 16:
        values = rows.view(header.order + "u2").astype(np.uint16, copy=False)
    else:
        values = unpack(rows, bits)[:, : columns * samples]
    values = values.reshape(len(values), columns, samples)
    if header.predictor == 2:  # each number is the difference to its left neighbour, modulo 2^bits
        np.cumsum(values, axis=1, dtype=values.dtype, out=values)
    return values


def _tiles_together(stacked: npt.NDArray[Any], header: TiffHeader) -> npt.NDArray[Any]:
    """Tiles one below the other -> (H, W, C), what reaches over the edges cut off."""
    rows, columns = header.segment
    out = np.empty((header.height, header.width, stacked.shape[2]), stacked.dtype)
    across = -(-header.width // columns)
    for number in range(len(stacked) // rows):
        top, left = number // across * rows, number % across * columns
        part = out[top : top + rows, left : left + columns]
        part[:] = stacked[number * rows : number * rows + part.shape[0], : part.shape[1]]
    return out


def _jpeg_plane(header: TiffHeader, data: bytes) -> npt.NDArray[Any]:
    """Strips or tiles that are JPEG streams of their own, whose tables a tag may hold."""
    offsets, counts = _places(header)
    rows, columns = header.segment
    channels = CHANNELS.get(header.facts.colour, 1)
    out = np.empty((header.height, header.width, channels), np.uint8)
    across = -(-header.width // columns)
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        top, left = number // across * rows, number % across * columns
        part = out[top : top + rows, left : left + columns]
        shape = (rows, columns) if header.tiled else part.shape[:2]
        stream = _whole_stream(data[offset : offset + count], header)
        part[:] = strict(stream, "GRAY" if channels == 1 else "RGB", shape)[: part.shape[0], : part.shape[1]]
    return out


def _whole_stream(segment: bytes, header: TiffHeader) -> bytes:
    """A stream with its tables, and Adobe's marker to say which colours it holds: TIFF says so in a tag."""
    if segment[:2] != b"\xff\xd8":
        raise damaged("a JPEG strip does not begin as one")
    tables = header.tables
    if tables:
        if tables[:2] != b"\xff\xd8" or tables[-2:] != b"\xff\xd9":
            raise damaged("its JPEG tables do not begin and end as such")
        segment = tables[:-2] + segment[2:]
    at = read_markers(segment).first_scan
    transform = 1 if header.facts.colour == "YCbCr" else 0
    marker = b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, transform)
    return segment[:at] + marker + segment[at:] if header.facts.colour in {"YCbCr", "RGB"} else segment
