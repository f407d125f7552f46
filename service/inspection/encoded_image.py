"""One image as a surface received it: still encoded, with the name under which it was sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.imaging.decode import ImageError, Pixels


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of one image file and its name, or why even the bytes cannot be had (as base64 that is none).

    `folder` is the last one in front of the name, where there is one: the part that a light's file is of. `pixels` are
    what a decoder would make of the bytes, (H, W, 1 or 3), where the image came as pixels: it need not be decoded.
    """

    data: bytes
    name: str | None = None
    error: ImageError | None = None
    folder: str | None = None
    pixels: Pixels | None = field(default=None, compare=False)
