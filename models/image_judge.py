"""Turns one picture into rows for the detector, and the judgements of its rows back into one judgement.

Service, bulk scoring, calibration, golden checks and robustness all go through it, so what the network sees of a
picture (its *views*) is decided in one place. Today a picture has one view, the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from models.backends.base import SourceKey
from models.detector import Detector, Judgement, Row
from models.heads.base import Head
from models.imaging.decode import ImageLimits, Pixels
from models.imaging.levels import LevelRange
from models.imaging.preprocess import Prepared, Preprocessing, prepare, prepare_file

BATCH_IMAGES = 16  # judged together where a whole set is judged


class PreparedImage(NamedTuple):
    """The views of one picture, each (3, S, S) float32 in [0, 1], and the picture's own width and height in pixels."""

    views: tuple[Prepared, ...]
    width: int
    height: int


class RawJudgement(Protocol):
    """A score and a map before calibration: the detector's Judgement, or an answer of the engine that carries one."""

    @property
    def score(self) -> float: ...


J = TypeVar("J", bound=RawJudgement)


@dataclass(frozen=True, eq=False)
class ImageJudge:
    """What a product needs to judge a picture: its head, the source that feeds it, and the preprocessing.

    `levels` are those of its training pictures: a file far outside of them is refused. Artifacts of before this was
    measured have none.
    """

    head: Head
    source: SourceKey
    preprocessing: Preprocessing
    levels: LevelRange | None = None

    def prepare_file(self, data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
        """The bytes of an image file -> its views. Raises ImageError, image_level_unexpected among them."""
        found = prepare_file(data, self.preprocessing, limits, self.levels)
        return PreparedImage((found.image,), found.width, found.height)

    def prepare(self, pixels: Pixels) -> PreparedImage:
        """Decoded RGB pixels (H, W, 3) -> their views. Their levels are not looked at."""
        return PreparedImage((prepare(pixels, self.preprocessing),), pixels.shape[1], pixels.shape[0])

    def rows(self, image: PreparedImage, *, wants_map: bool = False) -> list[Row]:
        """The rows that the detector (or the engine) judges, one for each view, in order."""
        return [Row(view, self.head, self.source, wants_map) for view in image.views]

    def join(self, image: PreparedImage, judgements: Sequence[J]) -> J:
        """The judgement of the picture from those of its rows, in the order of `rows`."""
        if len(judgements) != len(image.views):
            raise ValueError(f"{len(judgements)} judgements for a picture of {len(image.views)} views")
        return judgements[0]

    def judge_all(
        self, detector: Detector, images: Iterable[PreparedImage], *, wants_map: bool = False
    ) -> Iterator[Judgement]:
        """Every picture in order, in batches of BATCH_IMAGES. The head must be on the detector's device."""
        waiting = iter(images)
        while batch := list(islice(waiting, BATCH_IMAGES)):
            rows = [self.rows(image, wants_map=wants_map) for image in batch]
            judged = iter(detector.judge([row for of_image in rows for row in of_image]))
            for image, of_image in zip(batch, rows, strict=True):
                yield self.join(image, list(islice(judged, len(of_image))))
