"""What the network sees of a picture: the views of a file or of pixels, by geometry and regions of a product.

Trainer and service make the network's input here alone, so both see the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.channels import Groups, group_picture, group_pictures
from models.imaging.decode import DecodedImage, ImageLimits, Pixels, decode_with, read_header
from models.imaging.errors import ImageError
from models.imaging.exact_changes import ExactChange
from models.imaging.grouped_decode import decode_groups
from models.imaging.levels import LevelRange, check_levels, white_of
from models.imaging.preprocess import JPEG_SIDES, STRIP_PIXELS, Prepared, Preprocessing, as_input, prepare
from models.imaging.regions import Regions
from models.imaging.samples import Header
from models.imaging.streamed_views import STREAMED_PIXELS, can_stream, letterboxed, streamed
from models.imaging.tiling import Map, Tiling, stitched


class PreparedImage(NamedTuple):
    """The views of one picture, each (3, S, S) float32 in [0, 1], and the picture's own width and height in pixels.

    Of a part with groups of channels first come all views of the first group, then those of the next.
    """

    views: tuple[Prepared, ...]
    width: int
    height: int

    @property
    def whole(self) -> Prepared:
        """(3, h, w): the views beside each other, to measure light and lens by."""
        return self.views[0] if len(self.views) == 1 else np.concatenate(self.views, axis=2)


@dataclass(frozen=True, eq=False)
class PictureViews:
    """How a product's pictures become views. `levels` are those of its training pictures: a file far outside of them is
    refused. `regions` are the places that are looked at, None for all.
    """

    preprocessing: Preprocessing
    regions: Regions | None = None
    levels: LevelRange | None = None

    @property
    def count(self) -> int:
        """Views of one picture."""
        return self.per_group * self.groups

    @property
    def per_group(self) -> int:
        """Views of one group of channels: its tiles, or one."""
        tiles = self.preprocessing.tiles
        return 1 if tiles is None else tiles.count

    @property
    def groups(self) -> int:
        """Groups of channels; 1 where the product has none."""
        return max(1, len(self.preprocessing.groups))

    def prepare_file(self, data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
        """The bytes of an image file -> its views. Raises ImageError, image_level_unexpected among them."""
        chosen = self.preprocessing
        if chosen.groups:
            part = decode_groups(data, chosen.groups, limits)
            return PreparedImage(self._checked(part.pixels, look_at_levels=True), part.width, part.height)
        header = read_header(data, limits)
        if self.regions is None and can_stream(header, chosen):
            views, seen = streamed(header, data, chosen)
            if self.levels is not None:
                check_levels(seen, chosen.sixteen_bit_white, self.levels)
            return PreparedImage(views, header.width, header.height)
        decoded = self._decoded(header, data)
        return PreparedImage(self._checked(decoded.pixels, look_at_levels=True), decoded.width, decoded.height)

    def prepare_changed(
        self, data: bytes, changes: Sequence[ExactChange], limits: ImageLimits | None = None
    ) -> Iterator[PreparedImage]:
        """The bytes of an image file, a picture without groups -> the views of each changed picture.

        Tiles and regions stay where they are, and the changed picture lies under them. Raises ImageError.
        """
        pixels = self._decoded(read_header(data, limits), data).pixels
        for change in changes:
            yield self.prepare(np.ascontiguousarray(change(pixels)))

    def picture_of(self, data: bytes, limits: ImageLimits | None = None, group: int = 0) -> Pixels:
        """The bytes of an image file -> RGB (H, W, 3), of a part the picture of that group. Raises ImageError."""
        return group_picture(
            decode_groups(data, self.preprocessing.groups, limits).pixels, self.preprocessing.groups, group
        )

    def prepare(self, pixels: Pixels, *, look_at_levels: bool = False) -> PreparedImage:
        """Decoded pixels, RGB (H, W, 3) or the channels (H, W, N) of all groups -> their views.

        Raises ImageError for a size or, if asked, for levels.
        """
        height, width = pixels.shape[:2]
        return PreparedImage(self._checked(pixels, look_at_levels=look_at_levels), width, height)

    def on_picture(self, maps: list[Map], width: int, height: int) -> Map:
        """The maps (S, S) of the views -> the map of the picture of that size, of the same shape for each picture."""
        chosen = self.preprocessing
        if chosen.tiles is not None:
            return stitched(maps, chosen.tiles)
        if chosen.resize == "stretch":
            return maps[0]
        size = maps[0].shape[0]
        if chosen.resize == "letterbox":
            x, y, w, h = content(width, height, size)
            return np.asarray(cv2.resize(maps[0][y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_LINEAR))
        x, y, side = centre(width, height)
        left, top = round(x / width * size), round(y / height * size)
        w, h = max(1, round(side / width * size)), max(1, round(side / height * size))
        found = np.full((size, size), maps[0].min(), np.float32)
        found[top : top + h, left : left + w] = cv2.resize(maps[0], (w, h), interpolation=cv2.INTER_AREA)[
            : size - top, : size - left
        ]
        return found

    def _decoded(self, header: Header, data: bytes) -> DecodedImage:
        """A JPEG at a fraction of its size where all of it is stretched."""
        chosen = self.preprocessing
        whole = chosen.jpeg == "reduced" and chosen.resize == "stretch" and self.regions is None
        return decode_with(header, data, JPEG_SIDES * chosen.image_size if whole else None)

    def _checked(self, pixels: Pixels, *, look_at_levels: bool) -> tuple[Prepared, ...]:
        inside = pixels if self.regions is None else self.regions.filled(pixels)
        groups = self.preprocessing.groups
        found: list[Prepared] = []
        for number, picture in enumerate(group_pictures(inside, groups)):
            if look_at_levels and self.levels is not None:
                check_levels(picture, self.preprocessing.sixteen_bit_white, self.levels, _name(groups, number))
            found += self._views(picture)
        return tuple(found)

    def _views(self, pixels: Pixels) -> tuple[Prepared, ...]:
        chosen = self.preprocessing
        if chosen.tiles is not None:
            return tuple(prepare(tile, chosen) for tile in tiles_of(pixels, chosen.tiles))
        if chosen.resize == "centre":
            x, y, side = centre(pixels.shape[1], pixels.shape[0])
            return (prepare(pixels[y : y + side, x : x + side], chosen),)
        if chosen.resize == "letterbox":
            return (self._letterboxed(pixels),)
        return (prepare(pixels, chosen),)

    def _letterboxed(self, pixels: Pixels) -> Prepared:
        """A large square is never made: of a line scan it has many times the picture's pixels."""
        chosen = self.preprocessing
        height, width = pixels.shape[:2]
        side = max(width, height)
        if side**2 < STREAMED_PIXELS or side < chosen.image_size:
            return prepare(squared(pixels), chosen)
        step = max(1, STRIP_PIXELS // side)
        bands = (pixels[top : top + step] for top in range(0, height, step))
        white = white_of(pixels, chosen.sixteen_bit_white)
        return as_input(letterboxed(bands, width, height, chosen.image_size), white)


def _name(groups: Groups, number: int) -> str:
    """What the picture of a group is called in an error."""
    return f"the picture of {groups[number].name}" if groups else "the picture"


def tiles_of(pixels: Pixels, tiling: Tiling) -> list[Pixels]:
    """The tiles of a picture. Raises ImageError (image_size_unexpected) for one of another size than in training."""
    height, width = pixels.shape[:2]
    if (width, height) != (tiling.width, tiling.height):
        raise ImageError(
            "image_size_unexpected",
            f"the picture is {width} x {height}; the product's tiles are laid out for {tiling.width} x {tiling.height}",
        )
    side = tiling.side
    return [pixels[place.y : place.y + side, place.x : place.x + side] for place in tiling.places]


def centre(width: int, height: int) -> tuple[int, int, int]:
    """x, y and side of the square in the middle of a picture."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def content(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """x, y, width and height of a picture within its letterbox of that size."""
    scale = size / max(width, height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    return (size - w) // 2, (size - h) // 2, w, h


def squared(pixels: Pixels) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """A picture within a square of its longer side, its edge pixels repeated: no border that looks like an edge."""
    height, width = pixels.shape[:2]
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    return cv2.copyMakeBorder(  # type: ignore[return-value]
        pixels, top, side - height - top, left, side - width - left, cv2.BORDER_REPLICATE
    )
