"""Draws what the network would see of a picture: its views, and the places that are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.channels import Groups, group_picture, group_words
from models.imaging.errors import ImageError
from models.imaging.map_picture import eight_bit
from models.imaging.picture_views import PictureViews, centre
from models.imaging.regions import Regions
from trainer.config import TrainingSettings
from trainer.data import DataError, read_pixels
from trainer.part_files import groups_of_part

EDGE, DARK = (255, 96, 32), 0.3  # of a view, RGB; of what is not looked at
VIEWS_SHOWN = 8
GREY = 128
GAP = 8  # pixels between picture and views
Drawing = npt.NDArray[np.uint8]


def draw_preview(picture: Path, settings: TrainingSettings, regions: Regions | None, out: Path) -> Iterator[str]:
    """Writes `out`: the picture with its views outlined, above the first views as the network sees them.

    Of a part with groups of channels the picture above is that of the first group.

    Yields what a person should know. Raises DataError.
    """
    try:
        groups = settings.groups or groups_of_part(picture)
        pixels = read_pixels(picture, groups)
        height, width = pixels.shape[:2]
        views = PictureViews(settings.preprocessing(65535, [(width, height)], groups), regions)
        prepared = views.prepare(pixels)
    except (ImageError, OSError) as error:
        raise DataError(f"{picture}: {error}") from error
    above = _outlined(eight_bit(group_picture(pixels, groups, 0), int(pixels.max()) or 1), views)
    most = min(VIEWS_SHOWN, max(2, width // (settings.image_size + GAP)))
    shown = [np.rint(view.transpose(1, 2, 0) * 255).astype(np.uint8) for view in prepared.views[:most]]
    drawing = _below(above, shown)
    done, data = cv2.imencode(".png", drawing[:, :, ::-1])
    if not done:
        raise DataError(f"{out}: OpenCV could not write a PNG")
    out.write_bytes(data.tobytes())
    size, tiles = settings.image_size, views.preprocessing.tiles
    yield f"{picture.name}: {width} x {height}, {len(prepared.views)} views of {size} x {size} ({settings.view})"
    seen = tiles.side if tiles is not None else max(width, height) if settings.view != "centre" else min(width, height)
    yield f"one pixel of the network is {seen / size:.2f} pixels of the camera"
    if groups:
        yield f"{len(groups)} groups of channels, each with {views.per_group} of these views: {group_words(groups)}"
        yield f"the drawing shows {groups[0].name}"
    if regions is not None:
        yield f"{regions.share:.1%} of the picture is looked at"
    yield f"look at {out}"


def size_of_picture(picture: Path, groups: Groups | None = None) -> tuple[int, int]:
    """Width and height; groups of channels are found where they are not named. Raises DataError."""
    try:
        height, width = read_pixels(picture, groups or groups_of_part(picture)).shape[:2]
    except (ImageError, OSError) as error:
        raise DataError(f"{picture}: {error}") from error
    return width, height


def _outlined(picture: Drawing, views: PictureViews) -> Drawing:
    drawn = picture.copy()
    if views.regions is not None:
        kept = views.regions.kept
        if kept.shape != drawn.shape[:2]:
            kept = cv2.resize(kept.astype(np.uint8), drawn.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        drawn[~kept] = np.rint(drawn[~kept] * DARK)
    height, width = drawn.shape[:2]
    line = max(1, min(width, height) // 300)
    tiles = views.preprocessing.tiles
    if tiles is not None:
        boxes = [(place.x, place.y, tiles.side, tiles.side) for place in tiles.places]
    elif views.preprocessing.resize == "centre":
        x, y, side = centre(width, height)
        boxes = [(x, y, side, side)]
    else:
        boxes = [(0, 0, width, height)]
    for x, y, w, h in boxes:
        cv2.rectangle(drawn, (x, y), (x + w - 1, y + h - 1), EDGE, line)
    return drawn


def _below(above: Drawing, views: list[Drawing]) -> Drawing:
    """The picture, and in a row below it the views."""
    side = views[0].shape[0]
    width = max(above.shape[1], len(views) * (side + GAP) - GAP)
    found = np.full((above.shape[0] + GAP + side, width, 3), GREY, np.uint8)
    found[: above.shape[0], : above.shape[1]] = above
    for number, view in enumerate(views):
        left = number * (side + GAP)
        found[above.shape[0] + GAP :, left : left + side] = view
    return found
