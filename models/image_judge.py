"""Turns one picture into rows for the detector, and the judgements of its rows back into one judgement.

Service, bulk scoring, calibration, golden checks and robustness all go through it, so what the network sees of a
picture (its *views*) and what becomes of it is decided in one place.

    score = the score of its only view                  or, with tiles or regions, the highest value of its map inside
    map   = the maps of its views, put together         and quiet outside of the regions

Of a part with groups of channels both are the highest of its groups, each judged by its own head in the common unit
(models.heads.grouped).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from models.backends.base import SourceKey
from models.detector import Detector, Judgement, Row
from models.heads.base import Head
from models.heads.grouped import heads_of
from models.imaging.decode import ImageLimits, Pixels
from models.imaging.levels import LevelRange
from models.imaging.picture_views import PictureViews, PreparedImage
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions, masked_map

__all__ = ["BATCH_IMAGES", "ImageJudge", "PreparedImage"]

Box = tuple[int, int, int, int]
BATCH_IMAGES = 16  # judged together where a whole set is judged


class RawJudgement(Protocol):
    """A score and a map before calibration: the detector's Judgement, or an answer of the engine that carries one."""

    @property
    def score(self) -> float: ...

    @property
    def map(self) -> npt.NDArray[np.float32] | None: ...


J = TypeVar("J", bound=RawJudgement)


@dataclass(frozen=True, eq=False)
class ImageJudge:
    """What a product needs to judge a picture: its head, the source that feeds it, and what is seen of the picture.

    `levels` are those of its training pictures: a file far outside of them is refused. Artifacts of before this was
    measured have none. `regions` are the places that are looked at, None for all.
    """

    head: Head
    source: SourceKey
    preprocessing: Preprocessing
    levels: LevelRange | None = None
    regions: Regions | None = None

    @property
    def views(self) -> PictureViews:
        """How a picture becomes views."""
        return PictureViews(self.preprocessing, self.regions, self.levels)

    def prepare_file(self, data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
        """The bytes of an image file -> its views. Raises ImageError, image_level_unexpected among them."""
        return self.views.prepare_file(data, limits)

    def prepare_picture(self, pixels: Pixels) -> PreparedImage:
        """Pixels (H, W, 1 or 3) -> the views of a file of theirs, to the bit. Raises ImageError as for a file.

        For pictures without groups of channels, below STREAMED_PIXELS.
        """
        rgb: npt.NDArray[Any] = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
        return self.views.prepare(rgb, look_at_levels=True)

    def prepare(self, pixels: Pixels) -> PreparedImage:
        """Decoded pixels, RGB (H, W, 3) or all channels (H, W, N) -> their views. Their levels are not looked at."""
        return self.views.prepare(pixels)

    def rows(self, image: PreparedImage, *, wants_map: bool = False) -> list[Row]:
        """The rows that the detector (or the engine) judges, one for each view, in order."""
        wants_map = wants_map or self._scores_by_map
        heads, each = heads_of(self.head), self.views.per_group
        last = len(heads) - 1  # a head without groups judges every view
        return [
            Row(view, heads[min(number // each, last)], self.source, wants_map, number % each)
            for number, view in enumerate(image.views)
        ]

    def join(self, image: PreparedImage, judgements: Sequence[J]) -> J:
        """The judgement of the picture from those of its rows, in the order of `rows`.

        What a judgement has beside score and map is that of the row with the highest score. Its group, where the
        product has groups of channels, is the one that the score comes from.
        """
        if len(judgements) != len(image.views):
            raise ValueError(f"{len(judgements)} judgements for a picture of {len(image.views)} views")
        groups, each = self.preprocessing.groups, self.views.per_group
        if not groups:
            return self._joined(image, judgements)
        found = [self._joined(image, judgements[start : start + each]) for start in range(0, len(judgements), each)]
        scores = [one.score for one in found]
        number = int(np.argmax(scores))  # the first NaN where there is one
        maps = [one.map for one in found if one.map is not None]
        whole = np.maximum.reduce(maps) if len(maps) == len(found) else None
        return _with(found[number], scores[number], whole, groups[number].name)

    def _joined(self, image: PreparedImage, judgements: Sequence[J]) -> J:
        """The judgement of one group of channels from those of its rows."""
        if len(judgements) == 1 and self.regions is None and self.preprocessing.resize == "stretch":
            return judgements[0]
        score = float(np.max([one.score for one in judgements]))  # NaN where there is one
        highest = max(judgements, key=lambda one: one.score)
        maps = [one.map for one in judgements if one.map is not None]
        if len(maps) < len(judgements):
            return _with(highest, score, None)
        whole = self.views.on_picture(maps, image.width, image.height)
        if self.regions is not None:
            whole, peak = masked_map(whole, self.regions)
        else:
            peak = float(whole.max())
        if self._scores_by_map and math.isfinite(score):  # a view that could not be scored is not hidden by its map
            score = peak
        return _with(highest, score, whole)

    def deciding_tile(self, judgements: Sequence[J], joined: J) -> Box | None:
        """x, y, width and height, in pixels of the camera, of the tile that the picture's score comes from.

        None for a picture without tiles. Where the score is the peak of the joined map it is the tile whose middle is
        nearest to that.
        """
        tiles = self.preprocessing.tiles
        if tiles is None:
            return None
        number = int(np.argmax([one.score for one in judgements])) % self.views.per_group
        if self._scores_by_map and joined.map is not None:
            height, width = joined.map.shape
            y, x = np.unravel_index(int(joined.map.argmax()), joined.map.shape)
            number = tiles.nearest((float(x) + 0.5) / width * tiles.width, (float(y) + 0.5) / height * tiles.height)
        place = tiles.places[number]
        return place.x, place.y, tiles.side, tiles.side

    @property
    def _scores_by_map(self) -> bool:
        """Whether the score is read off the joined map."""
        tiles = self.preprocessing.tiles
        return self.regions is not None or (tiles is not None and tiles.version >= 2)

    def judge_all(
        self, detector: Detector, images: Iterable[PreparedImage], *, wants_map: bool = False
    ) -> Iterator[Judgement]:
        """Every picture in order, in batches of some BATCH_IMAGES rows. The head must be on the detector's device."""
        waiting = iter(images)
        while batch := list(islice(waiting, max(1, BATCH_IMAGES // self.views.count))):
            yield from self.judge_together(detector, batch, [wants_map] * len(batch))

    def judge_together(
        self, detector: Detector, images: Sequence[PreparedImage], wants_map: Sequence[bool]
    ) -> Iterator[Judgement]:
        """The pictures in order, the rows of all of them side by side; each says whether its map is wanted."""
        rows = [self.rows(image, wants_map=wants) for image, wants in zip(images, wants_map, strict=True)]
        judged = self._judged(detector, [row for of_image in rows for row in of_image])
        for image, of_image in zip(images, rows, strict=True):
            yield self.join(image, list(islice(judged, len(of_image))))

    def _judged(self, detector: Detector, rows: Sequence[Row]) -> Iterator[Judgement]:
        for start in range(0, len(rows), BATCH_IMAGES):
            yield from detector.judge(rows[start : start + BATCH_IMAGES])


def _with(judgement: J, score: float, whole: npt.NDArray[np.float32] | None, group: str | None = None) -> J:
    """The same with another score and map, and the group that they come from."""
    new = {"score": score, "map": whole, "group": group}
    if isinstance(judgement, tuple):
        return cast(J, cast(Any, judgement)._replace(**new))
    return cast(J, dataclasses.replace(cast(Any, judgement), **new))
