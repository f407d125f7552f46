"""What was found in each image of a request: a verdict, or an error of that image; only a real OK is ever OK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from mkdserve.client.schema import Answer, Grey, Picture

Decision = Literal["OK", "REVIEW", "NG"]
Box = tuple[int, int, int, int]


class ArtifactRef(Answer):
    """Which artifact has judged."""

    version: str
    method: str
    hash: str


class ImageSize(Answer):
    """Pixels of the upright input; `seen` is None where the artifact does not know which sizes it was taught."""

    width: int
    height: int
    seen: bool | None = None


class Timing(Answer):
    """Milliseconds in each stage of the service."""

    decode_ms: float
    queue_ms: float
    device_ms: float
    encode_ms: float
    total_ms: float


class Result(Answer):
    """What came of one image."""

    def __bool__(self) -> bool:
        raise TypeError("a result is neither true nor false; ask for is_ok")


class Verdict(Result):
    """One image that has been judged. The higher `score`, the less it is like the good ones."""

    index: int
    filename: str | None = None
    product: str
    artifact: ArtifactRef
    score: float
    p_value: float
    threshold: float
    threshold_origin: str
    review_threshold: float | None = None
    decision: Decision
    decided_by: str | None = None
    image: ImageSize
    tile: Box | None = None
    group: str | None = None
    timing: Timing
    error: None = Field(default=None, repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether the part was judged, and judged good."""
        return self.decision == "OK"

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        highest = self.threshold if self.review_threshold is None else self.review_threshold
        if self.decision == "OK" and self.score > highest:
            raise ValueError(f"OK contradicts the score {self.score:g}, which is above {highest:g}")
        return self


class MapScale(Answer):
    """The fixed grey scale of a product's maps, linear from `low` (0) to `high` (255), in map units."""

    low: float
    high: float
    threshold: float
    grey_at_threshold: int

    def values(self, grey: Grey) -> npt.NDArray[np.float32]:
        """Grey levels (H, W) -> map units (H, W), clipped at both ends as the grey levels are."""
        return np.asarray(self.low + grey.astype(np.float32) * ((self.high - self.low) / 255), dtype=np.float32)


class Region(Answer):
    """A connected area over the map's threshold; `box` is x, y, width, height in pixels of the input."""

    box: Box
    area_px: int
    area_share: float
    peak: float
    mean: float


class LocalizedVerdict(Verdict):
    """One image that has been judged, and where.

    `map` and `mask` are uint8 (H, W), `overlay` is uint8 (H, W, 3) RGB, all of the input's size; the last two are None
    where they were not asked for. `regions` are hottest first.
    """

    map: Picture = Field(repr=False)
    map_scale: MapScale
    regions: tuple[Region, ...]
    overlay: Picture | None = Field(default=None, repr=False)
    mask: Picture | None = Field(default=None, repr=False)

    @property
    def map_values(self) -> npt.NDArray[np.float32]:
        """The map in its own units, float32 (H, W)."""
        return self.map_scale.values(self.map)

    @model_validator(mode="after")
    def _pictures_of_the_size_of_the_input(self) -> Self:
        size = (self.image.height, self.image.width)
        for name, picture, shape in (("map", self.map, size), ("mask", self.mask, size)):
            if picture is not None and picture.shape != shape:
                raise ValueError(f"{name} is {picture.shape}, the image {shape}")
        if self.overlay is not None and self.overlay.shape != (*size, 3):
            raise ValueError(f"overlay is {self.overlay.shape}, the image {size}")
        return self

    def __eq__(self, other: object) -> bool:
        return self is other  # arrays have no single answer

    __hash__ = object.__hash__


class Reason(Answer):
    """Why an image has no verdict."""

    code: str
    title: str
    detail: str


class ImageError(Result):
    """An image without a verdict: the part has not been inspected."""

    index: int
    filename: str | None = None
    error: Reason
    decision: None = Field(default=None, repr=False)

    @property
    def is_ok(self) -> Literal[False]:
        """Never."""
        return False

    @property
    def code(self) -> str:
        """What programs look at."""
        return self.error.code

    @property
    def detail(self) -> str:
        """In words."""
        return self.error.detail


class Context(Answer):
    """Line context as it was sent."""

    line: str | None = None
    station: str | None = None
    part_id: str | None = None


V = TypeVar("V", bound=Verdict)


class Wire(Answer, Generic[V]):
    """The body of an answer of /score or /localize."""

    request_id: str
    context: Context | None = None
    results: tuple[V | ImageError, ...]


@dataclass(frozen=True)
class Reply(Sequence[V | ImageError]):
    """The results of one request, one for each image in the order in which they were sent."""

    request_id: str
    context: Context | None
    results: tuple[V | ImageError, ...]

    @property
    def all_ok(self) -> bool:
        """Whether every image was judged, and judged good."""
        return bool(self.results) and all(result.is_ok for result in self.results)

    @property
    def verdicts(self) -> list[V]:
        """Those that were judged."""
        return [result for result in self.results if not isinstance(result, ImageError)]

    @property
    def errors(self) -> list[ImageError]:
        """Those that were not."""
        return [result for result in self.results if isinstance(result, ImageError)]

    @overload
    def __getitem__(self, index: int) -> V | ImageError: ...
    @overload
    def __getitem__(self, index: slice[Any, Any, Any]) -> tuple[V | ImageError, ...]: ...
    def __getitem__(self, index: int | slice[Any, Any, Any]) -> V | ImageError | tuple[V | ImageError, ...]:
        return self.results[index]

    def __iter__(self) -> Iterator[V | ImageError]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        raise TypeError("a Reply is neither true nor false; ask for all_ok")


def reply(wire: Wire[V], images: int, product: str | None) -> Reply[V]:
    """The results, checked against what was sent. Raises ValueError."""
    if [result.index for result in wire.results] != list(range(images)):
        raise ValueError(f"{len(wire.results)} results, or in another order, for {images} images")
    for result in wire.results:
        if product is not None and not isinstance(result, ImageError) and result.product != product:
            raise ValueError(f"a verdict on the product {result.product!r}, asked for {product!r}")
    return Reply(wire.request_id, wire.context, wire.results)
