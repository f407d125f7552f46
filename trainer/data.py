"""A folder of pictures in, readable prepared images with a record of what was left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.imaging.decode import ImageError, ImageLimits, Pixels, decode_image
from models.imaging.preprocess import Preprocessing, WhiteLevel, prepare_file
from models.names import IMAGE_SUFFIXES

FEWEST_IMAGES = 8
# A person chose this folder, so only absurd files are refused.
LIMITS = ImageLimits(max_bytes=512 * 2**20, max_pixels=400_000_000)
WHITE_LEVELS: tuple[WhiteLevel, ...] = (1023, 4095, 16383, 65535)


class DataError(Exception):
    """The folder cannot be trained or evaluated on; the text says what would be right."""


@dataclass(frozen=True)
class TrainingSet:
    """The good images of a folder: `files` in order, `unreadable` ones with the reason, exact `duplicates` left out.

    `sha256` is over the files' own hashes in order; `sizes` the distinct (width, height) in pixels.
    """

    files: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]
    duplicates: tuple[Path, ...]
    sizes: tuple[tuple[int, int], ...]
    sixteen_bit_white: WhiteLevel
    sha256: str

    @property
    def size_warning(self) -> str | None:
        """Words of warning where shapes differ so much that stretching them to a square makes them unlike."""
        shapes = [width / height for width, height in self.sizes]
        if max(shapes) / min(shapes) <= 1.25:
            return None
        return (
            f"the images have {len(self.sizes)} sizes, with aspect ratios from {min(shapes):.2f} to {max(shapes):.2f}; "
            "each is stretched to the same square. Pictures from one camera position judge best"
        )


def good_folder(data: Path) -> Path:
    """DATA/train/good in the MVTec layout, else DATA itself. Raises DataError where there is neither."""
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; name a folder of images of good parts")
    layout = data / "train" / "good"
    return layout if layout.is_dir() else data


def image_files(folder: Path) -> list[Path]:
    """The image files right inside a folder, by name; hidden files are passed over."""
    files = [file for file in folder.iterdir() if file.is_file() and file.name[0] != "."]
    return sorted(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES)


def read_training_set(data: Path) -> TrainingSet:
    """Looks at every file once. Raises DataError for a folder with no image, or fewer usable than FEWEST_IMAGES."""
    folder = good_folder(data)
    candidates = image_files(folder)
    if not candidates:
        raise DataError(
            f"no image in {folder}: good parts are expected there as {', '.join(sorted(IMAGE_SUFFIXES))}, "
            f"or in {folder}/train/good"
        )
    files: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    duplicates: list[Path] = []
    hashes: dict[bytes, Path] = {}
    sizes: set[tuple[int, int]] = set()
    brightest = 0
    for file in candidates:
        try:
            content = file.read_bytes()
            pixels = decode_image(content, LIMITS)
        except (ImageError, OSError) as error:
            unreadable.append((file, str(error)))
            continue
        digest = hashlib.sha256(content).digest()
        if digest in hashes:
            duplicates.append(file)  # twice the same picture on both sides of the split would flatter the calibration
            continue
        hashes[digest] = file
        files.append(file)
        sizes.add((pixels.shape[1], pixels.shape[0]))
        if pixels.dtype == np.uint16:
            brightest = max(brightest, int(pixels.max()))
    if len(files) < FEWEST_IMAGES:
        left_out = f" ({len(unreadable)} unreadable, {len(duplicates)} duplicates)" if unreadable or duplicates else ""
        raise DataError(
            f"{len(files)} usable images in {folder}{left_out}; at least {FEWEST_IMAGES} good parts are needed, "
            "and some 200 are better"
        )
    white = next(level for level in WHITE_LEVELS if brightest <= level) if brightest else WHITE_LEVELS[-1]
    return TrainingSet(
        files=tuple(files),
        unreadable=tuple(unreadable),
        duplicates=tuple(duplicates),
        sizes=tuple(sorted(sizes)),
        sixteen_bit_white=white,
        sha256=hashlib.sha256(b"".join(hashes)).hexdigest(),
    )


def read_pixels(file: Path) -> Pixels:
    """One image file's pixels. Raises ImageError."""
    return decode_image(file.read_bytes(), LIMITS)


def prepared_images(files: tuple[Path, ...], preprocessing: Preprocessing) -> Iterator[npt.NDArray[np.float32]]:
    """Each file's (3, S, S) float32 in turn."""
    for file in files:
        yield prepared_image(file, preprocessing)


def prepared_image(file: Path, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """One file's (3, S, S) float32, as the service sees it. Raises ImageError."""
    return prepare_file(file.read_bytes(), preprocessing, LIMITS).image


def split(count: int, hold_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices (for training, held out for calibration) of `count` images; at least 2 are held out."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    held = max(2, round(hold_out * count))
    return sorted(order[held:]), sorted(order[:held])
