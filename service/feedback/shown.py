"""A kept picture as a browser shows it: TIFF and 16 bits become a PNG of 8 bits, upright; of a part one light."""

from __future__ import annotations

from collections.abc import Callable

from models.imaging.channels import number_of
from models.imaging.decode import ImageError, ImageLimits, Pixels
from models.imaging.grouped_decode import first_picture
from models.imaging.map_picture import eight_bit
from models.imaging.picture_views import PictureViews
from service.errors import InferenceFailed
from service.inspection.map_pictures import as_png


def shown_png(data: bytes, limits: ImageLimits) -> bytes:
    """The picture as a PNG file; of 16 bits, its brightest value is white. It takes a thread some milliseconds.

    Of a part with groups of channels it is the first one's. Raises InferenceFailed where the picture is not taken any
    more, as after a limit was lowered.
    """
    return _png(lambda: first_picture(data, limits))


def group_png(data: bytes, limits: ImageLimits, views: PictureViews, group: str) -> bytes:
    """The same for the group of that name of a product's parts; the first where there is none of that name."""
    return _png(lambda: views.picture_of(data, limits, number_of(views.preprocessing.groups, group)))


def _png(read: Callable[[], Pixels]) -> bytes:
    try:
        pixels = read()
    except ImageError as error:
        raise InferenceFailed(f"the picture cannot be shown: {error.detail}") from None
    return as_png(eight_bit(pixels, max(1, int(pixels.max()))))
