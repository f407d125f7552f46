"""Turns the bytes of one image file into its pixels, or says in an ImageError what is wrong with this one image.

Trainer and service read images through this module alone, so both follow the same rules:

- PNG, JPEG, BMP, TIFF and WebP; the content decides, never a file name or a declared type.
- The header is read here, in bounded work, before any decoder sees the file: bytes, pixels, parts of the header.
- What the samples mean is looked up in one table (`models.imaging.layouts`); what is not in it is refused.
- One frame: a second page, an animation or a multi-picture file is refused, as it might be a second part.
- EXIF orientation is applied: the image is judged, and its map answers, as a viewer shows it.
- Damage is an error, also where decoders only warn of it.
- 10 to 16 bits stay as they are (uint16): `models.imaging.preprocess` knows the white level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.imaging import bmp, jpeg, png, webp
from models.imaging.colours import to_rgb
from models.imaging.errors import ERROR_CODES, ImageError, nothing_but_image_errors
from models.imaging.layouts import FURTHER
from models.imaging.limits import FORMATS, SMALLEST_SIDE, ImageLimits
from models.imaging.orientation import SIDEWAYS, oriented
from models.imaging.samples import Header, Pixels, Samples
from models.imaging.signatures import format_of
from models.imaging.stack import is_stack
from models.imaging.tiff import header as tiff_header
from models.imaging.tiff import picture as tiff_picture
from models.imaging.tiff import read as tiff_read

__all__ = [
    "ERROR_CODES",
    "FORMATS",
    "SMALLEST_SIDE",
    "DecodedImage",
    "ImageError",
    "ImageLimits",
    "PixelFormat",
    "Pixels",
    "decode",
    "decode_image",
    "decode_with",
    "read_header",
    "read_samples",
]

ONE_PICTURE_TAKEN = (
    "taken is a picture of 1 channel (grey) or 3 (RGB), unless the product was trained on groups of channels"
)
HEADERS: dict[str, Callable[[bytes, ImageLimits], Header]] = {
    "PNG": png.read_header,
    "JPEG": jpeg.read_header,
    "BMP": bmp.read_header,
    "TIFF": tiff_header.read_header,
    "WEBP": webp.read_header,
}


@dataclass(frozen=True)
class PixelFormat:
    """What the file says of its samples: format, bits of each as stored, and how many of them count.

    `significant_bits` is None where the file says nothing. That 12 bits were moved to the upper end of 16 is never
    said by a file: `models.imaging.levels` compares the values with those of training.
    """

    format: str
    bits: int
    significant_bits: int | None = None


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """RGB (H, W, 3), and width and height of the image as it was sent, which may be larger (see `decode`)."""

    pixels: Pixels
    width: int
    height: int
    pixel_format: PixelFormat


def decode_image(data: bytes, limits: ImageLimits | None = None) -> Pixels:
    """File bytes -> RGB (H, W, 3), uint8, or uint16 where the file has more than 8 bits a channel.

    Raises ImageError with a code of ERROR_CODES.
    """
    return decode(data, limits).pixels


def decode(data: bytes, limits: ImageLimits | None = None, least_side: int | None = None) -> DecodedImage:
    """`decode_image` with all that the file says of its pixels.

    With `least_side` a JPEG may come out at 1/2, 1/4 or 1/8 with neither side below it. Its decoder then averages as it
    goes, in a fraction of the time. Other formats have no such way.
    """
    return decode_with(read_header(data, limits), data, least_side)


def decode_with(header: Header, data: bytes, least_side: int | None = None) -> DecodedImage:
    """`decode` of a file whose header has been read. Raises ImageError."""
    pixels: Pixels
    if isinstance(header, tiff_header.TiffHeader):
        pixels = tiff_picture.read_rgb(header, data)
    else:
        pixels = oriented(to_rgb(read_samples(header, data, least_side)), header.orientation)
    width, height = header.width, header.height
    if header.orientation in SIDEWAYS:
        width, height = height, width
    return DecodedImage(
        pixels, width, height, PixelFormat(header.facts.format, header.facts.bits, header.significant_bits)
    )


def read_header(data: bytes, limits: ImageLimits | None = None, *, channels: bool = False) -> Header:
    """All that is known before decoding. Raises ImageError for what is refused unseen.

    With `channels` that may be a file of many channels, which is no picture by itself (models.imaging.grouped_decode).
    """
    limits = limits or ImageLimits()
    limits.check_bytes(data)
    if is_stack(data):
        raise ImageError(
            "image_channels_unexpected", f"the bytes are a tar of the pictures of one part; {ONE_PICTURE_TAKEN}"
        )
    name = format_of(data)
    limits.check_format(name)
    with nothing_but_image_errors():
        header = HEADERS[name](data, limits)
    if header.facts.extra == FURTHER and not channels:
        count = header.samples if isinstance(header, tiff_header.TiffHeader) else 0
        raise ImageError("image_channels_unexpected", f"the picture has {count} channels; {ONE_PICTURE_TAKEN}")
    return header


def read_samples(header: Header, data: bytes, least_side: int | None = None) -> Samples:
    """The raw samples of the file whose header it is, as they are stored. Raises ImageError."""
    with nothing_but_image_errors():
        if isinstance(header, png.PngHeader):
            return png.read_samples(header, data)
        if isinstance(header, bmp.BmpHeader):
            return bmp.read_samples(header, data)
        if isinstance(header, tiff_header.TiffHeader):
            return tiff_read.read_samples(header, data)
        if header.facts.format == "WEBP":
            return webp.read_samples(header, data)
        return jpeg.read_samples(header, data, least_side)
