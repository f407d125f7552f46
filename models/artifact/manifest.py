"""The records of an artifact's manifest.json: all that a product needs to be judged, beside its tensors.

NAME/
  manifest.json      schema, method, source, preprocessing, head, calibration, training, golden scores, packages
  head.safetensors   the head's tensors
  golden/*.png       a few good images whose scores are checked before the artifact serves
  SHA256SUMS         every other file's hash, as `sha256sum -c SHA256SUMS` reads it; its own hash names the artifact
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.calibration.conformal import Calibration
from models.imaging.input_statistics import InputStatistics
from models.imaging.preprocess import Preprocessing
from models.names import WHOLE_NAME
from models.sources.registry import Normalisation, Precision

SCHEMA_VERSION: Literal[2] = 2
MANIFEST, TENSORS, SUMS = "manifest.json", "head.safetensors", "SHA256SUMS"


class ArtifactError(Exception):
    """An artifact is refused (or cannot be written): which `file`, and the `reason`."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source that the head was fitted on, a name of models.sources.registry; other weights are refused."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    normalisation: Normalisation
    precision: Precision = "float32"  # not in artifacts before there was a choice
    licence: str


class TrainingRecord(_Record):
    """How the head came about. `settings` is every setting of the run, `outcome` what was measured while fitting."""

    settings: dict[str, object]
    images_trained: int = Field(ge=1)
    images_held_out: int = Field(ge=1)
    images_unreadable: tuple[str, ...] = ()
    data_sha256: str
    outcome: dict[str, object] = {}


class RecalibrationRecord(_Record):
    """Where a calibration came from that is not the training's: the artifact before it, and the new good images."""

    from_version: str
    from_sha256: str
    images: int = Field(ge=1)
    images_unreadable: tuple[str, ...] = ()
    data_sha256: str
    under: tuple[str, ...] = ()


class GoldenRecord(_Record):
    """One golden image, the score it had when the artifact was made, and its map's peak."""

    file: str = Field(pattern=r"^golden/[A-Za-z0-9._-]+\.png$")
    score: float = Field(allow_inf_nan=False)
    map_peak: float = Field(allow_inf_nan=False)


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
    training: TrainingRecord
    recalibration: RecalibrationRecord | None = None
    golden: tuple[GoldenRecord, ...] = Field(min_length=1)
    packages: dict[str, str]
