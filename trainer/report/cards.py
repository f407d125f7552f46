"""Draws what a report shows of one judged image: the input, outlines of what is lit, the map, and its verdict."""

from __future__ import annotations

import base64
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.artifact import Artifact
from models.imaging.channels import group_picture, number_of
from models.imaging.map_picture import drawn, eight_bit, grey_picture, outline
from trainer.data import read_pixels
from trainer.figures import Evaluated

THUMBNAIL = 440  # pixels of the longer side: twice what the gallery shows, for the zoom
LABEL_COLOUR = (64, 200, 255)  # RGB
JPEG_QUALITY = 80
Picture = npt.NDArray[np.uint8]


class View(NamedTuple):
    """One picture of a card: what it is, and a data URI."""

    title: str
    uri: str


class Card(NamedTuple):
    """One image with its verdict; no view of a mask where there is none to show."""

    name: str
    defect: str
    decision: str
    score: float
    p_value: float
    views: tuple[View, ...]


def card(one: Evaluated, artifact: Artifact) -> Card:
    """Draws one image: outlines of the lit region and of the labelled defect, then the map as heat.

    Of a part with groups of channels it draws the picture of the one that decided.
    """
    groups = artifact.preprocessing.groups
    pixels = group_picture(read_pixels(one.image.file, groups), groups, number_of(groups, one.group))
    picture = eight_bit(pixels, artifact.preprocessing.sixteen_bit_white)
    height, width = picture.shape[:2]
    share = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small: Picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    grey = grey_picture(one.map, artifact.calibration.map_scale, *size)
    outlined = drawn(small, grey, "outline")
    title = "lit region outlined"
    if one.mask is not None and one.mask.any():
        labelled: Picture = cv2.resize(one.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        outlined = outline(outlined, labelled, LABEL_COLOUR)
        title = "lit region and labelled defect outlined"
    views = (
        View("input" if one.group is None else f"input, {one.group}, which decided", picture_uri(small)),
        View(title, picture_uri(outlined)),
        View("map over the input", picture_uri(drawn(small, grey, "heat"))),
    )
    return Card(one.image.file.name, one.image.defect, one.decision, one.score, one.p_value, views)


def picture_uri(rgb: Picture) -> str:
    """As a JPEG: thirty trios of PNG would make a page of some 20 MB."""
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data_uri(encoded.tobytes(), "jpeg")


def data_uri(data: bytes, kind: str = "png") -> str:
    """The picture inside the page itself."""
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()
