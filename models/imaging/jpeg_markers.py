"""Walks the markers of a JPEG file within stated bounds: frame, colour, EXIF, scans, and a second picture (MPO)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError, damaged, truncated
from models.imaging.limits import JPEG_SCANS, JPEG_SEGMENTS, METADATA_BYTES, check_count
from models.imaging.tiff.directory import read_directory

START_OF_SCAN, END = 0xDA, 0xD9
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
MPO_PICTURES = 0xB001


@dataclass
class Markers:
    """What the segments say. `sampling` is (horizontal, vertical) of each component; `adobe` its transform, or None."""

    frame: int = 0
    precision: int = 0
    width: int = 0
    height: int = 0
    identities: tuple[int, ...] = ()
    sampling: tuple[tuple[int, int], ...] = ()
    adobe: int | None = None
    jfif: bool = False
    exif: bytes = b""
    pictures: int = 1
    scans: int = 0
    first_scan: int = 0  # offset of its marker


def read_markers(data: bytes) -> Markers:
    """Every segment up to the end of the first picture. Raises ImageError."""
    found, place, segments, metadata = Markers(), 2, 0, 0
    marks = _marks_in_scans(data)
    while True:
        place, code = _marker(data, place)
        if code == END:
            break
        segments += 1
        check_count("segments or more", segments, JPEG_SEGMENTS)
        if place + 4 > len(data):
            raise truncated("its last segment is missing")
        (length,) = struct.unpack_from(">H", data, place + 2)
        end = place + 2 + length
        if length < 2:
            raise damaged(f"a segment has a length of {length}")
        if end > len(data):
            raise truncated(f"a segment reaches to byte {end:,} of {len(data):,}")
        if code == START_OF_SCAN:
            found.scans += 1
            check_count("scans or more", found.scans, JPEG_SCANS)
            found.first_scan = found.first_scan or place
            after = int(np.searchsorted(marks, end))
            if after == len(marks):
                raise truncated("no marker follows its last scan")
            place = int(marks[after])
            continue
        metadata += length if code >= 0xE0 else 0
        check_count("bytes of metadata or more", metadata, METADATA_BYTES)
        _segment(found, code, data[place + 4 : end])
        place = end
    if not found.frame or not found.scans:
        raise damaged("it has no picture")
    return found


def _marks_in_scans(data: bytes) -> npt.NDArray[np.intp]:
    """Offsets of all that would end a scan: 0xFF before anything but a stuffed 0, a restart, or another 0xFF."""
    array = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(array[:-1] == 0xFF)
    following = array[at + 1]
    ends = (following != 0) & ((following < 0xD0) | (following > 0xD7)) & (following != 0xFF)
    found: npt.NDArray[np.intp] = at[ends]
    return found


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """The offset and code of the marker at `place`, past fill bytes of 0xFF."""
    begin = place
    while place + 1 < len(data) and data[place] == 0xFF and data[place + 1] == 0xFF:
        place += 1
        check_count("fill bytes or more in a row", place - begin, JPEG_SEGMENTS)
    if place + 1 >= len(data):
        raise truncated("it has no end marker")
    if data[place] != 0xFF:
        raise damaged(f"byte {place:,} is no marker")
    return place, data[place + 1]


def _segment(found: Markers, code: int, body: bytes) -> None:
    if code in FRAMES:
        _frame(found, code, body)
    elif code == 0xE0 and body[:5] == b"JFIF\0":
        found.jfif = True
    elif code == 0xE1 and body[:6] == b"Exif\0\0" and not found.exif:
        found.exif = body
    elif code == 0xE2 and body[:4] == b"MPF\0":
        found.pictures = max(found.pictures, _pictures(body[4:]))
    elif code == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
        found.adobe = body[11]


def _frame(found: Markers, code: int, body: bytes) -> None:
    if found.frame:
        raise damaged("it has two frame headers")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise damaged("its frame header is too short")
    found.frame = code
    found.precision, found.height, found.width, count = struct.unpack(">BHHB", body[:6])
    components = [body[6 + 3 * index : 9 + 3 * index] for index in range(count)]
    found.identities = tuple(part[0] for part in components)
    found.sampling = tuple((part[1] >> 4, part[1] & 15) for part in components)


def _pictures(index: bytes) -> int:
    """How many pictures a multi-picture file lists; 1 where its index cannot be read."""
    try:
        return read_directory(index, whole=False).one(MPO_PICTURES, 1)
    except ImageError:
        return 1
