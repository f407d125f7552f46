"""What callers of the HTTP interface send and get, as the schemas of its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from models.imaging.map_picture import OverlayStyle
from models.names import WHOLE_NAME
from service.inspection.context import CONTEXT_PATTERN

Decision = Literal["OK", "REVIEW", "NG"]

ProductName = Annotated[str, Field(pattern=WHOLE_NAME, description="Name of a product, or of a version of it.")]
ContextText = Annotated[str | None, Field(pattern=CONTEXT_PATTERN)]


TRUTH = TypeAdapter(bool)


class Schema(BaseModel):
    """Base of what is sent out: a member that nobody documented cannot slip in."""

    model_config = ConfigDict(extra="forbid")


class ScoreQuery(BaseModel):
    """Query parameters of /score. An unknown one is refused: a typing error must not change a decision silently."""

    model_config = ConfigDict(extra="forbid")

    product: ProductName | None = Field(
        default=None, description="The product; may be left out where there is only one."
    )
    max_false_reject: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of good parts called NG at most; picks the threshold from the stored calibration.",
    )
    review: Literal["on", "off"] = Field(default="on", description="off: decide between OK and NG only.")
    line: ContextText = Field(default=None, description="Line context, logged and returned. Also as header X-Line.")
    station: ContextText = Field(
        default=None, description="Line context, logged and returned. Also as header X-Station."
    )
    part_id: ContextText = Field(
        default=None, description="Line context, logged and returned. Also as header X-Part-Id."
    )


def _as_typed(value: object) -> object:
    """A truth value, in any of the ways in which other parameters take it, as true or false; all else as it is."""
    try:
        return "true" if TRUTH.validate_python(value) else "false"
    except ValidationError:
        return value


class LocalizeQuery(ScoreQuery):
    """Query parameters of /localize."""

    overlay: Annotated[Literal["false", "true", "heat", "outline"], BeforeValidator(_as_typed)] = Field(
        default="false",
        description="Add the image as PNG, with its map laid over as heat (true is that, too) or with what is lit "
        "outlined, which leaves a defect visible.",
    )
    mask: bool = Field(default=False, description="Add where the map reaches its threshold (255, else 0), as PNG.")

    @property
    def overlay_style(self) -> OverlayStyle | None:
        """None where no overlay is asked for."""
        if self.overlay == "false":
            return None
        return "outline" if self.overlay == "outline" else "heat"


class ArtifactRef(Schema):
    """Which artifact has judged."""

    version: str
    method: str
    hash: str


class ImageSize(Schema):
    """Size of the input in pixels, EXIF orientation applied."""

    width: int
    height: int
    seen: bool | None = Field(
        default=None,
        description="Whether the calibration had pictures of such a size and aspect; null where that is not known.",
    )


class Timing(Schema):
    """Milliseconds of this image in each stage; total runs from the request's first byte."""

    decode_ms: float
    queue_ms: float
    device_ms: float
    encode_ms: float
    total_ms: float


class Verdict(Schema):
    """One image that has been judged."""

    index: int = Field(description="Place of the image in the request, from 0.")
    filename: str | None = Field(default=None, description="Name under which the image was sent.")
    product: str
    artifact: ArtifactRef
    score: float = Field(description="The higher, the less the image is like the good ones.")
    p_value: float = Field(description="Share of good parts expected to score at least this high.")
    threshold: float = Field(description="Scores above it are NG.")
    threshold_origin: str = Field(description="Where the threshold comes from.")
    review_threshold: float | None = Field(
        default=None, description="Scores above it, up to the threshold, are REVIEW."
    )
    decision: Decision
    decided_by: str | None = Field(
        default=None,
        description="Of a head that combines several methods: the one whose score lies furthest above its usual.",
    )
    image: ImageSize
    tile: tuple[int, int, int, int] | None = Field(
        default=None, description="Of a picture in tiles: x, y, width, height of the one that decided, in its pixels."
    )
    group: str | None = Field(
        default=None, description="Of a part with groups of channels, as lights: the one that decided."
    )
    timing: Timing


class MapScaleSchema(Schema):
    """The map's fixed grey scale: low is 0, threshold is 128, high and above is 255, linear between."""

    low: float
    high: float
    threshold: float
    grey_at_threshold: int = 128


class RegionSchema(Schema):
    """A connected area where the map reaches its threshold."""

    box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels of the input.")
    area_px: int
    area_share: float = Field(description="Share of the image's area.")
    peak: float
    mean: float


class Localization(Schema):
    """Where a part is unusual."""

    map: str = Field(description="8-bit grey PNG at the size of the input, base64.")
    map_scale: MapScaleSchema
    regions: list[RegionSchema] = Field(description="Hottest first, 100 at most.")
    group: str | None = Field(
        default=None, description="Of a part with groups of channels, as lights: the one that decided."
    )


class LocalizedVerdict(Verdict, Localization):
    """One image that has been judged, and where."""

    overlay: str | None = Field(default=None, description="RGB PNG at the size of the input, base64; where asked for.")
    mask: str | None = Field(default=None, description="8-bit PNG, 0 or 255, base64; where asked for.")


class EntryErrorBody(Schema):
    """Why this one image has no verdict."""

    code: str
    title: str
    detail: str


class EntryError(Schema):
    """An image without a verdict. There is no `decision`: treat it as a part that has not been inspected."""

    index: int
    filename: str | None = None
    error: EntryErrorBody


class Context(Schema):
    """Line context as it was sent."""

    line: str | None = None
    station: str | None = None
    part_id: str | None = None


class ScoreReply(Schema):
    """One entry per image, in the order in which they were sent."""

    request_id: str
    context: Context | None = None
    results: list[Verdict | EntryError]


class LocalizeReply(Schema):
    """One entry per image, in the order in which they were sent."""

    request_id: str
    context: Context | None = None
    results: list[LocalizedVerdict | EntryError]


class StreamEndBody(Schema):
    """`complete` is false where the stream ended by `error`: then images may be missing."""

    request_id: str
    complete: bool
    images: int = Field(description="Lines before this one.")
    verdicts: int = Field(description="Those of them that are verdicts.")
    error: EntryErrorBody | None = None


class StreamEnd(Schema):
    """The last line of /score/stream. Where it is missing, the answer was cut off."""

    end: StreamEndBody


class Problem(Schema):
    """RFC 9457. `code` is stable; `type` is the code as a URN."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[dict[str, str]] | None = None


class Health(Schema):
    """The process runs."""

    status: Literal["ok", "dead"] = "ok"


class Readiness(Schema):
    """Whether requests will be judged, and why not where they will not."""

    ready: bool
    reason: str | None = None


class Version(Schema):
    """What runs."""

    version: str
    python: str
    torch: str
    backends: dict[str, dict[str, str]]
    """Device -> source in use -> the backend that runs it and, in words, what was measured or asked for."""
