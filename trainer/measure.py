"""Image files in, their input statistics out: what the artifact keeps of its calibration images' light and lens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.input_statistics import InputStatistics, collect, measure
from models.preprocess import Preprocessing, prepare
from trainer.data import read_pixels


def measured_files(files: Sequence[Path], preprocessing: Preprocessing) -> InputStatistics:
    """Each file is read, prepared as for the network, and measured. Raises ImageError."""
    pictures = (read_pixels(file) for file in files)
    return collect(measure(prepare(pixels, preprocessing), pixels.shape[1], pixels.shape[0]) for pixels in pictures)
