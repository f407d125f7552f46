"""A folder in, a verified artifact out, and the way back: all that a product needs to be judged."""

from models.artifact.artifact import (
    MANIFEST,
    NAME_PATTERN,
    SUMS,
    TENSORS,
    Artifact,
    ArtifactError,
    GoldenRecord,
    Manifest,
    RecalibrationRecord,
    SourceRecord,
    TrainingRecord,
    golden_tolerance,
    load_artifact,
    write_artifact,
)

__all__ = [
    "MANIFEST",
    "NAME_PATTERN",
    "SUMS",
    "TENSORS",
    "Artifact",
    "ArtifactError",
    "GoldenRecord",
    "Manifest",
    "RecalibrationRecord",
    "SourceRecord",
    "TrainingRecord",
    "golden_tolerance",
    "load_artifact",
    "write_artifact",
]
