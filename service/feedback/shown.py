"""A kept picture as a browser shows it: TIFF and 16 bits become a PNG of 8 bits, upright."""

from __future__ import annotations

from models.imaging.decode import ImageError, ImageLimits, decode_image
from models.imaging.map_picture import eight_bit
from service.errors import InferenceFailed
from service.inspection.map_pictures import as_png


def shown_png(data: bytes, limits: ImageLimits) -> bytes:
    """The picture as a PNG file; of 16 bits, its brightest value is white. It takes a thread some milliseconds.

    Raises InferenceFailed where the picture is not taken any more, as after a limit was lowered.
    """
    try:
        pixels = decode_image(data, limits)
    except ImageError as error:
        raise InferenceFailed(f"the picture cannot be shown: {error.detail}") from None
    return as_png(eight_bit(pixels, max(1, int(pixels.max()))))
