"""Pictures of a folder: which there are, their pixels, the network's input of each, and the split of a set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.image_folder import list_images
from models.imaging.decode import ImageError, ImageLimits, Pixels, decode_image
from models.imaging.picture_views import PictureViews

# A person chose this folder, so only absurd files are refused.
LIMITS = ImageLimits(max_bytes=512 * 2**20, max_pixels=400_000_000)


class DataError(Exception):
    """The folder cannot be trained or evaluated on; the text says what would be right."""


def good_folder(data: Path) -> Path:
    """DATA/train/good in the MVTec layout, else DATA itself. Raises DataError where there is neither."""
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; name a folder of images of good parts")
    layout = data / "train" / "good"
    return layout if layout.is_dir() else data


def image_files(folder: Path) -> list[Path]:
    """The image files right inside a folder, by name; see models.image_folder."""
    return [folder / name for name in list_images(folder, subfolders=False).images]


def read_pixels(file: Path) -> Pixels:
    """One image file's pixels. Raises ImageError."""
    return decode_image(file.read_bytes(), LIMITS)


def prepared_images(files: tuple[Path, ...], views: PictureViews) -> Iterator[npt.NDArray[np.float32]]:
    """Each file's views in turn, (3, S, S) float32 each, as the service sees them. Raises DataError."""
    for file in files:
        try:
            yield from views.prepare_file(file.read_bytes(), LIMITS).views
        except ImageError as error:
            raise DataError(f"{file.name}: {error}") from error


def split(count: int, hold_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices (for training, held out for calibration) of `count` images; at least 2 are held out."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    held = max(2, round(hold_out * count))
    return sorted(order[held:]), sorted(order[:held])
