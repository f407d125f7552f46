"""The records of an artifact's manifest.json: all that a product needs to be judged, beside its tensors.

NAME/
  manifest.json      schema, method, source, preprocessing, head, calibration, training, golden scores, packages
  head.safetensors   the head's tensors
  mask.png           which pixels of a picture are looked at (255), where not all are
  golden/*.png       a few good images whose scores are checked before the artifact serves; of parts with groups of
                     channels golden/*.tar, with a PNG for each group
  SHA256SUMS         every other file's hash, as `sha256sum -c SHA256SUMS` reads it; its own hash names the artifact
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from models.calibration.conformal import Calibration
from models.imaging.input_statistics import InputStatistics
from models.imaging.levels import LevelRange
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions
from models.names import WHOLE_NAME
from models.sources.registry import Normalisation, Precision

SCHEMA_VERSION: Literal[2] = 2
MANIFEST, TENSORS, SUMS = "manifest.json", "head.safetensors", "SHA256SUMS"
MASK: Literal["mask.png"] = "mask.png"


class ArtifactError(Exception):
    """An artifact is refused: which `file`, and the `reason`."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class ArtifactNotWritten(ArtifactError):
    """An artifact cannot be written: a full disk, a folder without permission."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source that the head was fitted on, a name of models.sources.registry; other weights are refused."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    normalisation: Normalisation
    precision: Precision = "float32"  # not in artifacts before there was a choice
    licence: str


class PassedOver(_Record):
    """Files of the training folder that were not looked at, for one reason: how many, and the first names."""

    count: int = Field(ge=1)
    first: tuple[str, ...]


class TrainingRecord(_Record):
    """How the head came about. `settings` is every setting of the run, `outcome` what was measured while fitting.

    `trained` and `held_out` are the SHA-256 of the files, so that they are found again. `groups` are the
    near-duplicates among all pictures, by name from the folder on, each group of two at least; of a group one picture
    counts. Where `independent_trained` and `independent_held_out` are None nobody has looked for groups. `folds` is
    there where none was held out: all pictures were trained on, and calibrate by heads of so many folds.
    """

    settings: dict[str, object]
    images_trained: int = Field(ge=1)
    images_held_out: int = Field(ge=0)
    images_unreadable: tuple[str, ...] = ()
    independent_trained: int | None = Field(default=None, ge=1)
    independent_held_out: int | None = Field(default=None, ge=0)
    groups: tuple[tuple[str, ...], ...] = ()
    trained: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    passed_over: dict[str, PassedOver] = {}
    subfolders: bool = False  # whether images of subfolders were taken, too
    data_sha256: str
    outcome: dict[str, object] = {}
    folds: int | None = Field(default=None, ge=2)

    @property
    def images_calibrated(self) -> int:
        """Images that calibrate."""
        return self.images_held_out if self.folds is None else self.images_trained

    @property
    def independent_calibrated(self) -> int:
        """The same, each group of near-duplicates once."""
        found = self.independent_held_out if self.folds is None else self.independent_trained
        return self.images_calibrated if found is None else found

    @model_validator(mode="after")
    def _something_calibrates(self) -> Self:
        if (self.images_held_out == 0) != (self.folds is not None):
            raise ValueError("images calibrate that were held out or, by folds, all of them: one of the two")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """One with images held out is written as it was before there were folds."""
        written: dict[str, object] = handler(self)
        return {name: value for name, value in written.items() if name != "folds" or value is not None}


class FeedbackRecord(_Record):
    """How confirmed parts of a line became a calibration; times are ISO 8601 in UTC.

    `inspected` parts were judged from `since` to `until`; `confirmed` ones were chosen for review by a known chance and
    are good, and `held_back` of these have checked the thresholds and not chosen them.
    """

    recalibration: int = Field(ge=1)  # its id in the feedback store
    proposed_by: str
    applied_by: str
    since: str
    until: str
    inspected: int = Field(ge=1)
    confirmed: int = Field(ge=1)
    held_back: int = Field(ge=0)


class RecalibrationRecord(_Record):
    """Where a calibration came from that is not the training's: the artifact before it, and the new good images.

    `independent` and `groups` as in TrainingRecord: near-duplicates among the new images count once. `feedback` is
    there where the images are parts of the line that people have confirmed; `data_sha256` is of their ids and scores.
    """

    from_version: str
    from_sha256: str
    images: int = Field(ge=1)
    independent: int | None = Field(default=None, ge=1)
    groups: tuple[tuple[str, ...], ...] = ()
    images_unreadable: tuple[str, ...] = ()
    passed_over: dict[str, PassedOver] = {}
    data_sha256: str
    under: tuple[str, ...] = ()
    feedback: FeedbackRecord | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """One from images is written as it was before there was feedback."""
        written: dict[str, object] = handler(self)
        return {name: value for name, value in written.items() if name != "feedback" or value is not None}


class GoldenRecord(_Record):
    """One golden image, the score it had when the artifact was made, and its map's peak.

    `defect` marks the one with a painted defect: it must score above all others, or the head sees nothing.
    """

    file: str = Field(pattern=r"^golden/[A-Za-z0-9._-]+\.(png|tar)$")
    score: float = Field(allow_inf_nan=False)
    map_peak: float = Field(allow_inf_nan=False)
    defect: bool = False


class DegenerateRecord(_Record):
    """Why nothing can be learned or judged from the training set. Such an artifact is only written where a person has
    accepted that (--accept-degenerate); `/products` and the log then say so for as long as it is served."""

    reasons: tuple[str, ...] = Field(min_length=1)


class RegionsRecord(_Record):
    """The mask of the pixels that are looked at: its file, its size in pixels of the camera, and their share."""

    file: Literal["mask.png"] = MASK
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    share: float = Field(gt=0, le=1)


def regions_record(regions: Regions | None) -> RegionsRecord | None:
    """What the manifest says of a mask; None for none."""
    if regions is None:
        return None
    return RegionsRecord(width=regions.width, height=regions.height, share=round(regions.share, 6))


class Manifest(_Record):
    """manifest.json. `head` is the record of the method's head (models.heads.base.Head.record)."""

    schema_version: Literal[2] = SCHEMA_VERSION
    product: str = Field(pattern=WHOLE_NAME)
    version: str = Field(pattern=WHOLE_NAME)
    method: str
    created_at: str
    source: SourceRecord
    preprocessing: Preprocessing
    head: dict[str, object]
    calibration: Calibration
    input_statistics: InputStatistics | None = None  # of the calibration images; not in artifacts of the first release
    levels: LevelRange | None = None  # of all training pictures; not in artifacts of before they were measured
    training: TrainingRecord
    recalibration: RecalibrationRecord | None = None
    regions: RegionsRecord | None = None  # where not all of a picture is looked at
    golden: tuple[GoldenRecord, ...] = Field(min_length=1)
    degenerate: DegenerateRecord | None = None
    packages: dict[str, str]
