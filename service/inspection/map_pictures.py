"""The last stage of an image whose map is wanted: PNG pictures at the size of the input, and the lit regions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.calibration.conformal import MapScale
from models.image_judge import PreparedImage
from models.imaging.channels import number_of
from models.imaging.decode import ImageLimits
from models.imaging.map_picture import Map, Region, drawn, eight_bit, grey_picture, mask, regions
from service.errors import InferenceFailed
from service.inspection.options import PictureOptions
from service.products.product import ProductVersion

MAX_REGIONS = 100  # a map of noise has thousands, and the hundredth tells nobody anything
PNG_EFFORT = 1  # of 9: a map is smooth, and trying harder costs more time than it saves bytes


@dataclass(frozen=True)
class MapPictures:
    """The pictures are PNG files at the size of the input; `regions` are the hottest first, MAX_REGIONS at most."""

    map: bytes  # 8-bit grey on the fixed scale
    scale: MapScale
    regions: tuple[Region, ...]
    overlay: bytes | None = None  # RGB
    mask: bytes | None = None  # 0 or 255
    group: str | None = None  # of channels, whose picture the overlay shows

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return len(self.map) + len(self.overlay or b"") + len(self.mask or b"")


def map_pictures(
    map_: Map | None,
    image: PreparedImage,
    version: ProductVersion,
    options: PictureOptions,
    data: bytes = b"",
    limits: ImageLimits | None = None,
    group: str | None = None,
) -> MapPictures:
    """Map (S, S) in map units -> pictures. Raises InferenceFailed where the map is missing or not finite.

    An overlay decodes the image, `data` under `limits`, a second time: keeping every decoded image while it waits for
    the device would cost hundreds of times the memory of its file. Of a part with groups of channels it shows `group`.
    """
    if map_ is None or not np.isfinite(map_).all():
        raise InferenceFailed("the map is not made of numbers; the image has not been judged")
    scale = version.calibration.map_scale
    width, height = image.width, image.height
    grey = grey_picture(map_, scale, width, height)
    laid_over = None
    if options.overlay is not None:
        pixels = version.judge.views.picture_of(data, limits, number_of(version.preprocessing.groups, group))
        laid_over = as_png(drawn(eight_bit(pixels, version.preprocessing.sixteen_bit_white), grey, options.overlay))
    return MapPictures(
        map=as_png(grey),
        scale=scale,
        regions=tuple(regions(map_, scale, width, height)[:MAX_REGIONS]),
        overlay=laid_over,
        mask=as_png(mask(map_, scale, width, height)) if options.mask else None,
        group=group,
    )


def as_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Grey (H, W) or RGB (H, W, 3) -> a PNG file."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])
    if not done:
        raise ValueError(f"OpenCV could not write a PNG of shape {picture.shape}")
    return data.tobytes()
