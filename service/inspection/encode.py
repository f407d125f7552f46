"""In: the map of one image on its product's fixed scale. Out: the pictures and regions of its entry, PNG in base64."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.calibration.conformal import MapScale
from models.imaging.decode import ImageLimits, decode_image
from models.imaging.map_picture import GREY_AT_THRESHOLD, Map, eight_bit, grey_picture, mask, overlay, regions
from service.inspection.decode import Decoded
from service.products.product import ProductVersion
from service.rest.bodies.received import ReceivedImage
from service.rest.schemas import MapScaleSchema, RegionSchema

MAX_REGIONS = 100  # a map of noise has thousands, and the hundredth tells nobody anything
PNG_EFFORT = 1  # of 9: a map is smooth, and trying harder costs more time than it saves bytes


@dataclass(frozen=True)
class Pictures:
    """What /localize adds to an entry; the pictures are PNG files in base64."""

    map: str
    map_scale: MapScaleSchema
    regions: list[RegionSchema]
    overlay: str | None
    mask: str | None


@dataclass(frozen=True)
class Wanted:
    """Which pictures the request asked for beside the map."""

    overlay: bool = False
    mask: bool = False


def pictures(
    map_: Map, decoded: Decoded, received: ReceivedImage, version: ProductVersion, limits: ImageLimits, wanted: Wanted
) -> Pictures:
    """Map (S, S) in map units -> pictures at the size of the input.

    An overlay decodes the image a second time: keeping every decoded image while it waits for the device would cost
    hundreds of times the memory of its file.
    """
    scale: MapScale = version.calibration.map_scale
    width, height = decoded.width, decoded.height
    grey = grey_picture(map_, scale, width, height)
    laid_over = None
    if wanted.overlay:
        pixels = decode_image(received.data, limits)
        laid_over = in_base64(overlay(eight_bit(pixels, version.preprocessing.sixteen_bit_white), grey))
    return Pictures(
        map=in_base64(grey),
        map_scale=MapScaleSchema(
            low=scale.low, high=scale.high, threshold=scale.threshold, grey_at_threshold=GREY_AT_THRESHOLD
        ),
        regions=[RegionSchema(**region._asdict()) for region in regions(map_, scale, width, height)[:MAX_REGIONS]],
        overlay=laid_over,
        mask=in_base64(mask(map_, scale, width, height)) if wanted.mask else None,
    )


def in_base64(picture: npt.NDArray[np.uint8]) -> str:
    """Grey (H, W) or RGB (H, W, 3) -> a PNG file in base64."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])
    if not done:
        raise ValueError(f"OpenCV could not write a PNG of shape {picture.shape}")
    return base64.b64encode(data.tobytes()).decode("ascii")
