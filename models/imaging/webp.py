"""Reads WebP: its chunks are walked here, its pixels come from libwebp (in Pillow)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.layouts import NO_EXTRA, OPACITY, Facts, layout_of
from models.imaging.limits import METADATA_BYTES, WEBP_CHUNKS, ImageLimits, check_count
from models.imaging.orientation import exif_orientation
from models.imaging.samples import Header, Samples

# Pillow would refuse large images by a limit of its own; ours is checked on every header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

ANIMATED, ALPHA = 0x02, 0x10  # flags of VP8X
PICTURE = frozenset({b"VP8 ", b"VP8L", b"ALPH"})


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """Every chunk is walked. Raises ImageError."""
    chunks = _walk(data)
    extended = chunks.get(b"VP8X", b"")
    if b"ANIM" in chunks or (extended and extended[0] & ANIMATED):
        raise ImageError("image_multiple_frames", "the file is an animation; send each frame as an image of its own")
    lossless = b"VP8L" in chunks
    width, height, opaque = _bitstream(chunks.get(b"VP8L", b"") if lossless else chunks.get(b"VP8 ", b""), lossless)
    limits.check_size(width, height)
    if len(extended) >= 10:
        canvas = tuple(1 + int.from_bytes(extended[at : at + 3], "little") for at in (4, 7))
        if canvas != (width, height):
            raise damaged(f"its canvas is {canvas[0]} x {canvas[1]}, its picture {width} x {height}")
        opaque = opaque if lossless else not (extended[0] & ALPHA and b"ALPH" in chunks)
    facts = Facts(
        "WEBP",
        "RGB",
        extra=NO_EXTRA if opaque else OPACITY,
        compression="lossless" if lossless else "lossy",
    )
    return Header(facts, layout_of(facts), width, height, exif_orientation(chunks.get(b"EXIF", b"")))


def _walk(data: bytes) -> dict[bytes, bytes]:
    """The first body of each kind of chunk: of the picture its beginning, of other kinds all of it."""
    if len(data) < 12:
        raise truncated("it has no header")
    end = 8 + int(struct.unpack_from("<I", data, 4)[0])
    if end > len(data):
        raise truncated(f"it says {end:,} bytes and has {len(data):,}")
    found: dict[bytes, bytes] = {}
    place, count, metadata = 12, 0, 0
    while place + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, place)
        if place + 8 + length > end:
            raise truncated(f"a chunk reaches to byte {place + 8 + length:,} of {end:,}")
        count += 1
        check_count("chunks or more", count, WEBP_CHUNKS)
        metadata += 0 if kind in PICTURE else length
        check_count("bytes of metadata or more", metadata, METADATA_BYTES)
        found.setdefault(kind, data[place + 8 : place + 8 + (min(length, 16) if kind in PICTURE else length)])
        place += 8 + length + length % 2
    return found


def _bitstream(body: bytes, lossless: bool) -> tuple[int, int, bool]:
    """Width, height, and whether the stream itself has no opacity."""
    if lossless and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), not bits >> 28 & 1
    if not lossless and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF, True
    raise damaged("it has no picture that can be read")


def read_samples(header: Header, data: bytes) -> Samples:
    """The samples. Raises image_damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            channels = 4 if header.facts.extra == OPACITY else 3
            if image.size != (header.width, header.height):
                raise damaged(f"libwebp finds {image.size}")
            values = np.asarray(image.convert("RGBA" if channels == 4 else "RGB"))
    except (OSError, ValueError, RuntimeError, SyntaxError, EOFError) as error:
        if isinstance(error, ImageError):
            raise
        raise damaged(str(error)) from error
    return Samples(values, 8, "rgb", lossy=header.facts.compression == "lossy")
