"""A folder in, a verified artifact out, and the way back: all that a product needs to be judged."""

from models.artifact.golden import golden_tolerance
from models.artifact.manifest import (
    MANIFEST,
    SUMS,
    TENSORS,
    ArtifactError,
    ArtifactNotWritten,
    DegenerateRecord,
    FeedbackRecord,
    GoldenRecord,
    Manifest,
    PassedOver,
    RecalibrationRecord,
    SourceRecord,
    TrainingRecord,
    regions_record,
)
from models.artifact.read import Artifact, load_artifact
from models.artifact.versions import active_artifact
from models.artifact.write import write_artifact

__all__ = [
    "MANIFEST",
    "SUMS",
    "TENSORS",
    "Artifact",
    "ArtifactError",
    "ArtifactNotWritten",
    "DegenerateRecord",
    "FeedbackRecord",
    "GoldenRecord",
    "Manifest",
    "PassedOver",
    "RecalibrationRecord",
    "SourceRecord",
    "TrainingRecord",
    "active_artifact",
    "golden_tolerance",
    "load_artifact",
    "regions_record",
    "write_artifact",
]
