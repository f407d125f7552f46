"""Reads the first directory of tags of a TIFF or BigTIFF file, or of an EXIF block, within stated bounds."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.imaging.errors import damaged, truncated
from models.imaging.limits import METADATA_BYTES, TIFF_TAGS, check_count

UNSIGNED = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}  # byte, short, long, long8: the types of what decides on the pixels
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class Entry:
    """Where the values of one tag lie: `at` is an offset into the file."""

    kind: int
    count: int
    at: int


@dataclass(frozen=True)
class Directory:
    """The tags of the first directory. `order` is numpy's '<' or '>'; `next` the offset of a second one, or 0."""

    data: bytes
    order: str
    entries: dict[int, Entry]
    next: int

    def values(self, tag: int) -> tuple[int, ...]:
        """The unsigned integers of a tag, empty where it is missing or of another type. Raises ImageError."""
        return tuple(self.array(tag).tolist())

    def array(self, tag: int) -> npt.NDArray[np.int64]:
        """`values` as an array: strips come by the thousand."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in UNSIGNED:
            return np.empty(0, np.int64)
        kind = np.dtype(self.order + UNSIGNED[entry.kind])
        end = entry.at + entry.count * kind.itemsize
        if end > len(self.data):
            raise truncated(f"tag {tag} reaches to byte {end:,} of {len(self.data):,}")
        found = np.frombuffer(self.data, kind, entry.count, entry.at)
        if entry.kind == 16 and found.size and int(found.max()) >= 2**62:
            raise damaged(f"tag {tag} has a value beyond all files")
        return found.astype(np.int64)

    def one(self, tag: int, default: int) -> int:
        """The single value of a tag, `default` where it is missing. Raises ImageError."""
        found = self.values(tag)
        if tag not in self.entries:
            return default
        if len(found) != 1:
            raise damaged(f"tag {tag} needs one unsigned number and has {len(found)}")
        return found[0]

    def bytes(self, tag: int) -> bytes:
        """The bytes of a tag of type byte or undefined, empty where it is missing. Raises ImageError."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in {1, 7}:
            return b""
        if entry.at + entry.count > len(self.data):
            raise truncated(f"tag {tag} lies behind the end of the file")
        return self.data[entry.at : entry.at + entry.count]


def read_directory(data: bytes, *, whole: bool = True, at: int | None = None) -> Directory:
    """The first directory of a file, or that at an offset. `whole` false reads an EXIF block, whose rest may be
    anything.

    Raises image_truncated, image_damaged, and image_header_too_large above TIFF_TAGS tags or METADATA_BYTES of values
    that no decoder needs.
    """
    if len(data) < 8 or data[:2] not in (b"II", b"MM"):
        raise truncated("it has no TIFF header") if len(data) < 8 else damaged("it has no TIFF byte order")
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic not in {42, 43}:
        raise damaged(f"its TIFF header has the number {magic}; 42 or 43 is right")
    big = magic == 43
    try:
        if at is None:
            at = int(struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0])
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        check_count("tags in its directory", count, TIFF_TAGS)
        first, size, inline = at + (8 if big else 2), 20 if big else 12, 8 if big else 4
        entries: dict[int, Entry] = {}
        for place in range(first, first + count * size, size):
            tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, place)
            field = place + size - inline
            fits = SIZES.get(kind, 1) * number <= inline
            start = field if fits else struct.unpack_from(order + ("Q" if big else "I"), data, field)[0]
            entries.setdefault(tag, Entry(kind, number, start))
        following = struct.unpack_from(order + ("Q" if big else "I"), data, first + count * size) if whole else (0,)
    except (struct.error, OverflowError) as error:
        raise truncated("its directory of tags lies behind the end") from error
    return Directory(data, order, entries, following[0])


def check_metadata(directory: Directory, needed: frozenset[int]) -> None:
    """Raises image_header_too_large where tags beside the `needed` hold more than METADATA_BYTES."""
    sizes = (SIZES.get(entry.kind, 1) * entry.count for tag, entry in directory.entries.items() if tag not in needed)
    check_count("bytes of metadata", sum(sizes), METADATA_BYTES)
