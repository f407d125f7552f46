"""A folder in, a verified artifact out, and the way back: all that a product needs to be judged."""

from models.artifact.golden import golden_tolerance
from models.artifact.manifest import (
    MANIFEST,
    SUMS,
    TENSORS,
    ArtifactError,
    GoldenRecord,
    Manifest,
    RecalibrationRecord,
    SourceRecord,
    TrainingRecord,
)
from models.artifact.read import Artifact, load_artifact
from models.artifact.write import write_artifact

__all__ = [
    "MANIFEST",
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
