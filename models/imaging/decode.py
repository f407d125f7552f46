"""The bytes of one image file in, its pixels out, or an ImageError that says what is wrong with this one image.

Trainer and service read images through `decode_image` alone, so both follow the same rules:

- PNG, JPEG, BMP, TIFF and WebP; the content decides, never a file name or a declared type.
- Bytes are counted and pixels read from the header before anything is decoded.
- One frame: a second page or an animation is refused, as it might be a second part.
- EXIF orientation is applied: the image is judged, and its map answers, as a viewer shows it.
- Grey becomes three equal channels; a palette is expanded; CMYK is converted; transparency is laid over black.
- 16 bits stay 16 bits (uint16): `models.imaging.preprocess` knows the white level.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Pillow would refuse large images by a limit of its own; ours is checked on every header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

FORMATS: frozenset[str] = frozenset({"PNG", "JPEG", "BMP", "TIFF", "WEBP"})
ERROR_CODES: dict[str, str] = {
    "image_empty": "The part has no bytes at all.",
    "image_too_many_bytes": "The file is larger than the limit; nothing of it was decoded.",
    "image_too_many_pixels": "The header promises more pixels than the limit; nothing was decoded.",
    "image_too_small": "The image is smaller than 8 pixels on one side.",
    "image_format_not_allowed": "The file is an image of a format that is not on the allow-list.",
    "image_unreadable": "The bytes are not an image, or a damaged one.",
    "image_truncated": "The file ends before its image does.",
    "image_multiple_frames": "The file holds more than one frame or page.",
    "image_base64_invalid": "The text is not valid base64.",
}
SMALLEST_SIDE = 8
ORIENTATION_TAG = 0x0112  # of EXIF
SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations by which width and height change places


class ImageError(ValueError):
    """One image that cannot be judged: a stable `code` of ERROR_CODES and a `detail` in words."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class ImageLimits:
    """What is refused before decoding. Bytes are of the file, pixels are width times height in its header."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000
    formats: frozenset[str] = field(default=FORMATS)


class SizedPixels(NamedTuple):
    """Pixels, and width and height of the image as it was sent, which may be larger."""

    pixels: Pixels
    width: int
    height: int


def decode_image(data: bytes, limits: ImageLimits | None = None) -> Pixels:
    """File bytes -> RGB (H, W, 3), uint8, or uint16 where the file has 16 bits a channel.

    Raises ImageError with a code of ERROR_CODES.
    """
    return decode_at_least(data, limits).pixels


def decode_at_least(data: bytes, limits: ImageLimits | None = None, least_side: int | None = None) -> SizedPixels:
    """`decode_image`, where a JPEG may come out at 1/2, 1/4 or 1/8 with neither side below `least_side`.

    Its decoder then averages as it goes, in a fraction of the time. Other formats have no such way.
    """
    limits = limits or ImageLimits()
    if not data:
        raise ImageError("image_empty", "the image has no bytes")
    if len(data) > limits.max_bytes:
        raise ImageError("image_too_many_bytes", f"{len(data):,} bytes; at most {limits.max_bytes:,} are taken")
    with warnings.catch_warnings():
        # Pillow only warns of images it finds too large or oddly tagged; our own limit has decided on the size.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as header:
                _check_header(header, limits)
                if least_side is not None and header.format == "JPEG":
                    return _reduced_jpeg(header, data, least_side)
                return _whole(_pixels(header, data))
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError("image_unreadable", "the bytes are not an image of a known format") from error
        except Image.DecompressionBombError as error:
            raise ImageError("image_too_many_pixels", f"more than {limits.max_pixels:,} pixels") from error
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, ArithmeticError) as error:
            raise _damaged(error) from error
        except (AttributeError, RuntimeError, struct.error, zlib.error, cv2.error) as error:
            raise _damaged(error) from error


def _damaged(error: Exception) -> ImageError:
    text = str(error) or type(error).__name__
    if "truncated" in text.lower() or "unexpected end" in text.lower() or isinstance(error, EOFError):
        return ImageError("image_truncated", f"the file ends before its image does ({text})")
    return ImageError("image_unreadable", f"the image is damaged ({text})")


def _check_header(header: Image.Image, limits: ImageLimits) -> None:
    if header.format not in limits.formats:
        raise ImageError(
            "image_format_not_allowed", f"{header.format} is not taken; send one of {', '.join(sorted(limits.formats))}"
        )
    width, height = header.size
    if width * height > limits.max_pixels:
        raise ImageError(
            "image_too_many_pixels",
            f"{width} x {height} is {width * height:,} pixels; at most {limits.max_pixels:,} are taken",
        )
    if min(width, height) < SMALLEST_SIDE:
        raise ImageError(
            "image_too_small", f"{width} x {height} pixels; at least {SMALLEST_SIDE} on each side are needed"
        )
    frames = getattr(header, "n_frames", 1)
    if frames > 1:
        raise ImageError("image_multiple_frames", f"the file holds {frames} frames; send each as an image of its own")


def _pixels(header: Image.Image, data: bytes) -> Pixels:
    if _is_sixteen_bit(header, data):
        return _sixteen_bit_pixels(header, data)
    # Pillow, unlike OpenCV, reports a truncated file instead of filling the rest with grey.
    image = ImageOps.exif_transpose(header)
    if image.mode == "P" or "transparency" in image.info or image.mode in {"LA", "PA", "La", "RGBa"}:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.uint8)


def _whole(pixels: Pixels) -> SizedPixels:
    return SizedPixels(pixels, pixels.shape[1], pixels.shape[0])


def _reduced_jpeg(header: Image.Image, data: bytes, least_side: int) -> SizedPixels:
    width, height = header.size
    header.draft(None, (least_side, least_side))
    if header.getexif().get(ORIENTATION_TAG, 1) in SIDEWAYS:
        width, height = height, width
    return SizedPixels(_pixels(header, data), width, height)


def _is_sixteen_bit(header: Image.Image, data: bytes) -> bool:
    if header.mode.startswith("I;16") or header.mode in {"I", "F"}:
        return True
    if header.format == "PNG":  # Pillow opens 16-bit colour as 8-bit; the depth of IHDR is the file's 25th byte
        return data[24] == 16
    if isinstance(header, TiffImagePlugin.TiffImageFile):
        bits = header.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))
        return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)
    return False


def _sixteen_bit_pixels(header: Image.Image, data: bytes) -> Pixels:
    # OpenCV itself turns a TIFF as its tag says, whatever the flags; a PNG it leaves as it lies.
    orientation = 1 if header.format == "TIFF" else header.getexif().get(ORIENTATION_TAG, 1)
    if header.format == "PNG":
        with Image.open(io.BytesIO(data)) as again:
            again.verify()  # checks every chunk's CRC, which OpenCV forgives
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ImageError("image_unreadable", "the 16-bit image is damaged or of an unknown kind")
    if decoded.dtype not in (np.uint8, np.uint16):
        raise ImageError("image_unreadable", f"pixels of type {decoded.dtype} are not taken; send 8 or 16 bits")
    named_transparent = header.info.get("transparency")
    if decoded.ndim == 2 and isinstance(named_transparent, int):  # OpenCV heeds a PNG's tRNS in colour only
        decoded[decoded == named_transparent] = 0
    return _oriented(_rgb(cast(Pixels, decoded)), orientation)


def _rgb(array: Pixels) -> Pixels:
    """OpenCV's grey, BGR or BGRA -> RGB, transparency laid over black."""
    if array.ndim == 2:
        return cast(Pixels, np.repeat(array[:, :, None], 3, axis=2))
    if array.shape[2] == 4:
        white = np.iinfo(array.dtype).max
        blended = array[:, :, :3].astype(np.float32) * (array[:, :, 3:].astype(np.float32) / white)
        array = cast(Pixels, np.rint(blended).astype(array.dtype))
    if array.shape[2] != 3:
        raise ImageError("image_unreadable", f"{array.shape[2]} channels are not taken; send grey, RGB or RGBA")
    return cast(Pixels, np.ascontiguousarray(array[:, :, ::-1]))


def _oriented(pixels: Pixels, orientation: int) -> Pixels:
    """Applies EXIF orientation 1..8 to an array, as ImageOps.exif_transpose does to an image."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return cast(Pixels, np.ascontiguousarray(pixels))
