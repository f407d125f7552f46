"""Bounds what a file may ask for, before any decoder sees it: bytes, pixels, and the parts of its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.imaging.errors import ImageError, too_large
from models.sizes import size_words

FORMATS: frozenset[str] = frozenset({"PNG", "JPEG", "BMP", "TIFF", "WEBP"})
SMALLEST_SIDE = 8  # pixels
# A pixel of the file, while it is decoded or laid over, at most; `benchmarks.image_memory` measures it. Of TIFF it is a
# picture whose only strip is LZW or Zstandard: others take 3 bytes (6 at 16 bits), and 12 with their overlay.
PEAK_BYTES: Mapping[str, int] = {"JPEG": 12, "BMP": 12, "PNG": 18, "TIFF": 24, "WEBP": 24}

# Header work grows with these, and none depends on the pixels. Cameras and editors stay far below each.
PNG_CHUNKS = 1000  # and one more for each KiB of the file: image data comes in chunks of 4 or 8 KiB
JPEG_SEGMENTS = 1000
JPEG_SCANS = 100  # a progressive picture has about ten
JPEG_SCAN_PIXELS = 1_000_000_000  # scans times pixels: every scan visits all of them
TIFF_TAGS = 500
TIFF_SEGMENTS = 65_536  # strips or tiles, of all planes together
WEBP_CHUNKS = 100
METADATA_BYTES = 16 * 2**20  # all that is neither image data nor needed to read it


@dataclass(frozen=True)
class ImageLimits:
    """What is refused before decoding. Bytes are of the file, pixels are width times height in its header."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000
    formats: frozenset[str] = field(default=FORMATS)

    def check_bytes(self, data: bytes) -> None:
        """Raises ImageError for no bytes at all or too many."""
        if not data:
            raise ImageError("image_empty", "the image has no bytes")
        if len(data) > self.max_bytes:
            raise ImageError(
                "image_too_many_bytes", f"{size_words(len(data))}; at most {size_words(self.max_bytes)} are taken"
            )

    def check_format(self, name: str) -> None:
        """Raises ImageError for a format that is not on the allow-list."""
        if name not in self.formats:
            taken = ", ".join(sorted(self.formats))
            raise ImageError("image_format_not_allowed", f"{name} is not taken; send one of {taken}")

    def check_size(self, width: int, height: int) -> None:
        """Raises ImageError for a side that is too short, or too many pixels."""
        if width * height > self.max_pixels:
            raise ImageError(
                "image_too_many_pixels",
                f"{width} x {height} is {width * height:,} pixels; at most {self.max_pixels:,} are taken",
            )
        if min(width, height) < SMALLEST_SIDE:
            raise ImageError(
                "image_too_small", f"{width} x {height} pixels; at least {SMALLEST_SIDE} on each side are needed"
            )

    def check_groups(self, width: int, height: int, groups: int) -> None:
        """Raises ImageError for too many pixels in all groups of channels together."""
        if width * height * groups > self.max_pixels:
            raise ImageError(
                "image_too_many_pixels",
                f"{groups} groups of {width} x {height} are {groups * width * height:,} pixels; at most "
                f"{self.max_pixels:,} are taken",
            )


def check_count(what: str, count: int, most: int) -> None:
    """Raises image_header_too_large where there are more than `most` of something."""
    if count > most:
        raise too_large(f"the file has {count:,} {what}; at most {most:,} are walked. Save it anew without them")
