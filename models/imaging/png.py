"""Reads PNG: chunks and checksums are checked here, then libpng (in OpenCV) sees the image chunks alone.

A palette image is handed over as grey of the same depth, so what comes back are the palette's indices. libpng in
OpenCV refuses missing rows and a wrong checksum of the compressed stream, which Pillow fills with black.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.layouts import NAMED, NO_EXTRA, OPACITY, Facts, layout_of
from models.imaging.limits import METADATA_BYTES, PNG_CHUNKS, ImageLimits, check_count
from models.imaging.orientation import exif_orientation
from models.imaging.samples import Header, Samples

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TYPES = {0: ("grey", 1), 2: ("RGB", 3), 3: ("palette", 1), 4: ("grey", 2), 6: ("RGB", 4)}


@dataclass(frozen=True)
class PngHeader(Header):
    """The header, and the chunks that decide on pixels; `image` are offsets and lengths of the IDAT chunks' bodies."""

    colour_type: int = 0
    interlace: int = 0
    palette: bytes = b""
    transparency: bytes = b""
    image: tuple[tuple[int, int], ...] = ()


def read_header(data: bytes, limits: ImageLimits) -> PngHeader:
    """Every chunk is walked and its checksum compared. Raises ImageError."""
    chunks, image = _walk(data, limits)
    width, height, depth, colour_type, compression, filtering, interlace = _dimensions(chunks.get(b"IHDR", b""))
    if colour_type not in TYPES or compression or filtering or interlace > 1:
        raise damaged(f"its header names colour type {colour_type}, compression {compression}, filter {filtering}")
    palette, transparency = chunks.get(b"PLTE", b""), chunks.get(b"tRNS", b"")
    extra = OPACITY if colour_type in {4, 6} else NO_EXTRA
    if transparency and extra == NO_EXTRA:
        extra = OPACITY if colour_type == 3 else NAMED
    facts = Facts("PNG", TYPES[colour_type][0], bits=depth, extra=extra, compression="Deflate")
    layout = layout_of(facts)
    _check_palette(colour_type, depth, palette, transparency)
    frames = struct.unpack(">I", chunks[b"acTL"][:4])[0] if len(chunks.get(b"acTL", b"")) >= 4 else 1
    if frames > 1:
        raise ImageError("image_multiple_frames", f"the file holds {frames} frames; send each as an image of its own")
    if not image:
        raise truncated("it has no image data")
    significant = max(chunks[b"sBIT"][: TYPES[colour_type][1]], default=0) if b"sBIT" in chunks else 0
    orientation = exif_orientation(chunks.get(b"eXIf", b""))
    return PngHeader(
        *(facts, layout, width, height, orientation, significant or None),
        *(colour_type, interlace, palette, transparency, tuple(image)),
    )


def _dimensions(header: bytes) -> tuple[int, ...]:
    if len(header) != 13:
        raise damaged("it does not begin with a header of 13 bytes")
    return struct.unpack(">IIBBBBB", header)


def _walk(data: bytes, limits: ImageLimits) -> tuple[dict[bytes, bytes], list[tuple[int, int]]]:
    """The first of each chunk that decides on pixels, and where the image data lie."""
    found: dict[bytes, bytes] = {}
    image: list[tuple[int, int]] = []
    place, count, metadata = len(SIGNATURE), 0, 0
    most = PNG_CHUNKS + len(data) // 1024
    view = memoryview(data)
    while True:
        if place + 12 > len(data):
            raise truncated("its last chunk is missing")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            raise truncated(f"a chunk reaches to byte {end:,} of {len(data):,}")
        if zlib.crc32(view[place + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise damaged(f"the checksum of chunk {kind.decode('ascii', 'replace')} does not fit")
        count += 1
        if count > most:
            check_count("chunks or more", count, most)
        if kind == b"IDAT":
            image.append((place, end - place))
        elif kind in KEPT:
            found.setdefault(kind, data[place + 8 : end - 4])
        elif kind == b"IEND":
            return found, image
        elif kind[0] & 32 == 0:
            raise damaged(f"it has an unknown critical chunk {kind.decode('ascii', 'replace')}")
        if kind != b"IDAT":
            metadata += length
            check_count("bytes of metadata or more", metadata, METADATA_BYTES)
        if count == 1:
            width, height = _dimensions(found.get(b"IHDR", b""))[:2]
            limits.check_size(width, height)
        place = end


KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"sBIT"})


def _check_palette(colour_type: int, depth: int, palette: bytes, transparency: bytes) -> None:
    if colour_type == 3:
        entries = len(palette) // 3
        if not 0 < entries <= 256 or len(palette) % 3:
            raise damaged(f"its palette has {len(palette)} bytes")
        if len(transparency) > entries:
            raise damaged(f"its palette has {entries} colours and {len(transparency)} opacities")
    elif transparency and colour_type in {0, 2}:
        if len(transparency) != 2 * TYPES[colour_type][1]:
            raise damaged(f"its transparent colour has {len(transparency)} bytes")
        if any(value >> depth for value in _sixteen(transparency)):
            raise damaged("its transparent colour does not fit its bits")
    elif transparency:
        raise damaged("it has opacity and a transparent colour")


def _sixteen(data: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(data, ">u2").tolist())


def read_samples(header: PngHeader, data: bytes) -> Samples:
    """The raw samples. Raises image_damaged where libpng does not give every row."""
    bits, kind = header.facts.bits, header.colour_type
    fields = struct.pack(
        ">IIBBBBB", header.width, header.height, bits, 0 if kind == 3 else kind, 0, 0, header.interlace
    )
    parts: list[bytes | memoryview] = [SIGNATURE, _chunk(b"IHDR", fields)]
    view = memoryview(data)
    parts += [view[start : start + length] for start, length in header.image]
    parts.append(_chunk(b"IEND", b""))
    decoded = cv2.imdecode(np.frombuffer(b"".join(parts), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise damaged("its compressed data end early or contradict their checksum")
    values = _in_order(np.asarray(decoded), TYPES[kind][1])
    expected = (header.height, header.width, TYPES[kind][1])
    if values.shape != expected or values.dtype != (np.uint16 if bits == 16 else np.uint8):
        raise damaged(f"{values.shape} of {values.dtype} came of it; {expected} of {bits} bits were promised")
    if bits < 8:
        values //= np.uint8(255 // (2**bits - 1))  # libpng has stretched them
    palette = opacity = transparent = None
    if kind == 3:
        palette = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
        if int(values.max()) >= len(palette):
            raise damaged(f"a pixel names colour {int(values.max())} of a palette of {len(palette)}")
        if header.transparency:
            opacity = np.full(len(palette), 255, np.uint8)
            opacity[: len(header.transparency)] = np.frombuffer(header.transparency, np.uint8)
    elif header.transparency:
        transparent = _sixteen(header.transparency)
    colour = {"grey": "grey", "RGB": "rgb", "palette": "palette"}[header.facts.colour]
    return Samples(values, bits, colour, palette=palette, palette_opacity=opacity, transparent=transparent)  # type: ignore[arg-type]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _in_order(decoded: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """OpenCV's grey, BGR or BGRA -> (H, W, channels) in the file's order."""
    if decoded.ndim == 2:
        return decoded[:, :, None]
    if channels == 2:  # OpenCV spreads grey over three channels
        return np.ascontiguousarray(decoded[:, :, 2:])
    if channels == 3 and decoded.shape[2] == 3:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded))
    if channels == 4 and decoded.shape[2] == 4:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA, dst=decoded))
    return decoded
