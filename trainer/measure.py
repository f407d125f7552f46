"""Image files in, their input statistics out: what the artifact keeps of its calibration images' light and lens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.imaging.input_statistics import InputStatistics, collect, measure
from models.imaging.preprocess import Preprocessing, prepare_file
from trainer.data import LIMITS


def measured_files(files: Sequence[Path], preprocessing: Preprocessing) -> InputStatistics:
    """Each file is read, prepared as for the network, and measured. Raises ImageError."""
    return collect(measure(*prepare_file(file.read_bytes(), preprocessing, LIMITS)) for file in files)
