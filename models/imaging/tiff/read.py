"""Puts the samples of a TIFF together: bytes of strips or tiles -> numbers -> bands of samples from top to bottom."""

from __future__ import annotations

import struct
from collections.abc import Iterator
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
from models.imaging.tiff.segments import blocks_of_rows

BAND_BYTES = 2**21  # of a band of samples as they are stored


def read_samples(header: TiffHeader, data: bytes, *, every: bool = False) -> Samples:
    """The raw samples; extra ones that are no opacity are left out, or with `every` kept. Raises ImageError."""
    whole: npt.NDArray[Any] | None = None
    top = 0
    for band in read_bands(header, data, every=every):
        if whole is None:
            whole = np.empty((header.height, *band.shape[1:]), band.dtype)
        whole[top : top + len(band)] = band
        top += len(band)
    if whole is None:
        raise damaged("it has no strips or tiles")
    return meaning(header, whole)


def meaning(header: TiffHeader, values: npt.NDArray[Any]) -> Samples:
    """Raw samples (H, W, C) of the picture or of a band of it, with what they mean."""
    facts = header.facts
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


def read_bands(header: TiffHeader, data: bytes, *, every: bool = False) -> Iterator[npt.NDArray[Any]]:
    """Raw samples (n, W, C) from top to bottom. Extra ones that are no opacity are left out, or with `every` kept.

    Raises ImageError.

    A band has some BAND_BYTES; where tiles lie beside each other, or strips are JPEG, it is a row of them.
    """
    facts = header.facts
    kept = CHANNELS.get(facts.colour, 1) + (facts.extra not in {"none", UNSPECIFIED, PREMULTIPLIED})
    kept = header.samples if every else kept
    if facts.compression == "JPEG":
        yield from _jpeg_bands(header, data)
    elif header.apart:
        planes = [_bands(header, data, channel, 1) for channel in range(header.samples)]
        for parts in zip(*planes, strict=True):  # those beyond `kept` are read for their damage alone
            yield np.concatenate(parts[:kept], axis=2)
    else:
        for band in _bands(header, data, 0, header.samples):
            yield band[:, :, :kept]


def _bands(header: TiffHeader, data: bytes, index: int, samples: int) -> Iterator[npt.NDArray[Any]]:
    """One plane of `samples` interleaved channels: (n, W, samples) each, the same rows whatever the plane."""
    offsets, counts = _places(header)
    per_plane = len(offsets) // (header.samples if header.apart else 1)
    where = list(zip(offsets, counts, strict=True))[index * per_plane : (index + 1) * per_plane]
    rows, columns = header.segment
    across = -(-header.width // columns)
    heights = [rows] * per_plane
    if not header.tiled:
        heights[-1] = header.height - rows * (per_plane - 1)
    row_bytes = -(-columns * samples * header.facts.bits // 8)
    block = max(1, BAND_BYTES // row_bytes) if across == 1 else rows * across
    left = header.height
    for part in blocks_of_rows(data, where, header.facts.compression, heights, row_bytes, block):
        numbers = _numbers(part, header, columns, samples)
        if across > 1:  # tiles beside each other came one below the other
            numbers = numbers.reshape(across, rows, columns, samples).swapaxes(0, 1)
            numbers = numbers.reshape(rows, across * columns, samples)
        band = numbers[:left, : header.width]
        left -= len(band)
        if len(band):
            yield band


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


def _jpeg_bands(header: TiffHeader, data: bytes) -> Iterator[npt.NDArray[Any]]:
    """Strips or tiles that are JPEG streams of their own, whose tables a tag may hold; a row of them each."""
    places = list(zip(*_places(header), strict=True))
    rows, columns = header.segment
    colours: Literal["GRAY", "RGB"] = "GRAY" if CHANNELS.get(header.facts.colour, 1) == 1 else "RGB"
    across = -(-header.width // columns)
    for top in range(0, header.height, rows):
        height = rows if header.tiled else min(rows, header.height - top)
        of_row = places[top // rows * across :][:across]
        streams = (_whole_stream(data[offset : offset + count], header) for offset, count in of_row)
        parts = [strict(stream, colours, (height, columns)) for stream in streams]
        yield np.concatenate(parts, axis=1)[: header.height - top, : header.width]


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
