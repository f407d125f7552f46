"""An anomaly map and its fixed scale in; grey picture, regions, mask and overlay at the size of the input out.

Nothing here looks at the image's own minimum or maximum: two pictures of one product can be compared, and a good part
looks quiet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.calibration.conformal import MapScale
from models.imaging.decode import Pixels

Map = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]
Rgb = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
OverlayStyle = Literal["heat", "outline"]
GREY_AT_THRESHOLD = 128
LIT_COLOUR, DARK = (255, 64, 64), (16, 16, 16)  # RGB
OVERLAY_OPACITY = 0.65
OVERLAY_BYTES = 6  # a pixel, at most
STRIP_PIXELS = 2**18  # blended at a time: intermediate values take 40 bytes a pixel


class Region(NamedTuple):
    """A lit spot. `box` is x, y, width, height; it and `area_px` are in pixels of the input, `peak` in map units."""

    box: tuple[int, int, int, int]
    area_px: int
    area_share: float
    peak: float
    mean: float


def grey_picture(anomaly_map: Map, scale: MapScale, width: int, height: int) -> Grey:
    """Map (S, S) -> 8-bit (height, width): 0 is scale.low, 255 scale.high; lit pixels are GREY_AT_THRESHOLD or more."""
    share = (anomaly_map - scale.low) / (scale.high - scale.low)
    grey = np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def regions(anomaly_map: Map, scale: MapScale, width: int, height: int) -> list[Region]:
    """Connected lit spots of a map (S, S), highest peak first, in pixels of an input of that width and height."""
    lit = (anomaly_map > scale.threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    side_y, side_x = anomaly_map.shape
    to_x, to_y = width / side_x, height / side_y
    found = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        left, top = int(x * to_x), int(y * to_y)
        right, bottom = min(width, -int(-(x + w) * to_x // 1)), min(height, -int(-(y + h) * to_y // 1))
        values = anomaly_map[y : y + h, x : x + w][labels[y : y + h, x : x + w] == label]
        found.append(
            Region(
                box=(left, top, right - left, bottom - top),
                area_px=max(1, round(area * to_x * to_y)),
                area_share=area / (side_x * side_y),
                peak=float(values.max()),
                mean=float(values.mean()),
            )
        )
    return sorted(found, key=lambda region: region.peak, reverse=True)


def mask(anomaly_map: Map, scale: MapScale, width: int, height: int) -> Grey:
    """255 where the map is lit, 0 elsewhere, (height, width)."""
    lit = (anomaly_map > scale.threshold).astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(lit, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def eight_bit(pixels: Pixels, sixteen_bit_white: int) -> npt.NDArray[np.uint8]:
    """The image as a person looks at it: uint8 as it is, uint16 scaled by the product's white level."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8)
    result = np.empty(pixels.shape, np.uint8)
    for rows in _strips(pixels.shape):
        result[rows] = np.clip(pixels[rows].astype(np.float32) * (255 / sixteen_bit_white), 0, 255)
    return result


def overlay(picture: Rgb, grey: Grey) -> Rgb:
    """RGB (H, W, 3) with its grey map (H, W) laid over it, the opaquer the brighter: quiet places stay as they are.

    Holds at most OVERLAY_BYTES a pixel beside its arguments: the result (3), the outline's mask with what OpenCV makes
    of it (2), and one strip of intermediate values.
    """
    result = np.empty_like(picture, order="C")
    for rows in _strips(picture.shape):
        colours = cv2.cvtColor(cv2.applyColorMap(grey[rows], cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        opacity = (grey[rows].astype(np.float32) / 255 * OVERLAY_OPACITY)[:, :, None]
        result[rows] = np.rint(picture[rows] * (1 - opacity) + colours * opacity)
    edges, _ = cv2.findContours(_lit(grey), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, edges, -1, LIT_COLOUR, _line(picture))
    return result


def outline(picture: Rgb, region: Grey, colour: Colour = LIT_COLOUR) -> Rgb:
    """RGB (H, W, 3) with a line around each part of `region` (H, W), where that is not 0: no pixel in it is changed.

    The line has a dark edge, so that it is seen on any picture.
    """
    width = max(2, _line(picture))
    inside = cv2.threshold(region, 0, 1, cv2.THRESH_BINARY)[1]
    # A line is centred on its contour, and the dark one reaches 1 + width / 2 to either side.
    reach = 2 * (width + 1) + 1
    around = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    edges, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    del around
    result = np.array(picture, order="C")
    cv2.drawContours(result, edges, -1, DARK, width + 2)
    cv2.drawContours(result, edges, -1, colour, width)
    for rows in _strips(picture.shape):
        np.copyto(result[rows], picture[rows], where=inside[rows, :, None] > 0)
    return result


def drawn(picture: Rgb, grey: Grey, style: OverlayStyle) -> Rgb:
    """The picture with its grey map: as heat over it, or as lines around what is lit, which leave a defect visible."""
    return overlay(picture, grey) if style == "heat" else outline(picture, _lit(grey))


def _lit(grey: Grey) -> Grey:
    return np.asarray(cv2.threshold(grey, GREY_AT_THRESHOLD - 1, 1, cv2.THRESH_BINARY)[1], dtype=np.uint8)


def _line(picture: Rgb) -> int:
    return max(1, round(int(min(picture.shape[:2])) / 200))


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a picture in pieces of some STRIP_PIXELS."""
    step = max(1, STRIP_PIXELS // shape[1])
    for top in range(0, shape[0], step):
        yield slice(top, top + step)
