"""Pictures of a folder: which there are, their pixels, the network's input of each, and the split of a set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.image_folder import list_images
from models.imaging.channels import Groups
from models.imaging.decode import ImageError, ImageLimits, Pixels
from models.imaging.grouped_decode import decode_groups
from models.imaging.picture_views import PictureViews
from models.imaging.stack import StackFile, as_stack

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


def part_bytes(path: Path) -> bytes:
    """What a caller would send of a part: the bytes of its file, or the stack of its folder's files."""
    if not path.is_dir():
        return path.read_bytes()
    return as_stack(StackFile(file.name, file.read_bytes()) for file in image_files(path))


def read_pixels(file: Path, groups: Groups = ()) -> Pixels:
    """One image file's pixels (H, W, 3), or all channels (H, W, N) of a part with groups. Raises ImageError."""
    return decode_groups(part_bytes(file), groups, LIMITS).pixels


def prepared_images(files: tuple[Path, ...], views: PictureViews) -> Iterator[npt.NDArray[np.float32]]:
    """Each file's views in turn, (3, S, S) float32 each, as the service sees them. Raises DataError."""
    for file in files:
        try:
            yield from views.prepare_file(part_bytes(file), LIMITS).views
        except ImageError as error:
            raise DataError(f"{file.name}: {error}") from error


def split(count: int, hold_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices (for training, held out for calibration) of `count` images; at least 2 are held out."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    held = max(2, round(hold_out * count))
    return sorted(order[held:]), sorted(order[:held])
