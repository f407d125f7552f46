"""The verdict on one image, which every surface shows in its own form, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.calibration.conformal import Decision, Thresholds
from models.image_judge import Box, PreparedImage
from models.imaging.decode import ERROR_CODES, ImageError
from service.errors import InferenceFailed, ServiceError
from service.inspection.map_pictures import MapPictures
from service.products.product import ProductVersion


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Seconds of one image in each stage; `total` runs from the start of its request."""

    decode: float = 0.0
    queue: float = 0.0
    device: float = 0.0
    encode: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One image that has been judged by one version of one product.

    `index` is its place in the request, from 0; `name` what it was sent as; `width` and `height` the input's pixels;
    `size_seen` whether pictures of such a size were among those of the calibration, None where that is not known;
    `decided_by` the member of a combined head that raised the score most.
    `tile` the one that decided, of a picture in tiles; `group` the group of channels that decided, of a part that has
    several.
    """

    index: int
    name: str | None
    product: str
    version: str
    method: str
    hash: str
    score: float
    p_value: float
    thresholds: Thresholds
    decision: Decision
    decided_by: str | None
    width: int
    height: int
    size_seen: bool | None
    times: StageTimes
    pictures: MapPictures | None
    tile: Box | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageFailure:
    """One image without a verdict: treat it as a part that has not been inspected.

    `error` is the image's own (it cannot be read) or the service's (it could not be judged); `times` are those of the
    stages that it came through, 0 for the others.
    """

    index: int
    name: str | None
    error: ImageError | ServiceError
    times: StageTimes

    @property
    def title(self) -> str:
        """What the error's code stands for, in words."""
        return ERROR_CODES[self.error.code] if isinstance(self.error, ImageError) else self.error.title


def verdict_of(
    score: float,
    image: PreparedImage,
    version: ProductVersion,
    thresholds: Thresholds,
    *,
    index: int,
    name: str | None,
    times: StageTimes,
    pictures: MapPictures | None,
    decided_by: str | None = None,
    tile: Box | None = None,
    group: str | None = None,
) -> Verdict:
    """Decide on a score. Raises InferenceFailed for one that is no number: it must never become OK."""
    if not math.isfinite(score):
        raise InferenceFailed("the score is not a number; the image has not been judged")
    statistics = version.input_statistics
    return Verdict(
        index=index,
        name=name,
        product=version.name,
        version=version.version,
        method=version.method,
        hash=version.hash,
        score=score,
        p_value=version.calibration.p_value(score),
        thresholds=thresholds,
        decision=thresholds.decide(score),
        decided_by=decided_by,
        width=image.width,
        height=image.height,
        size_seen=statistics.has_size(image.width, image.height) if statistics is not None else None,
        times=times,
        pictures=pictures,
        tile=tile,
        group=group,
    )
