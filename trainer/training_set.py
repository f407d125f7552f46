"""A folder of good pictures in, the training set out: what can be read, with a record of what was left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.artifact import PassedOver
from models.image_folder import NAMED, Reason, passed_over_words
from models.imaging.channels import Groups, group_pictures, group_words
from models.imaging.decode import ImageError, ImageLimits, Pixels
from models.imaging.grouped_decode import decode_groups
from models.imaging.levels import LevelRange, Levels, collect_levels, measure_levels
from models.imaging.preprocess import Preprocessing, WhiteLevel, is_enlarged
from models.names import IMAGE_SUFFIXES
from trainer.data import LIMITS, DataError, good_folder, part_bytes
from trainer.data_checks.pictures import PictureExtremes, PictureFacts, picture_extremes
from trainer.part_files import find_parts

FEWEST_IMAGES = 8
SERVED = ImageLimits().max_pixels
WHITE_LEVELS: tuple[WhiteLevel, ...] = (1023, 4095, 16383, 65535)


class Looked(NamedTuple):
    """What one look at a picture's pixels gives; levels of each group of channels."""

    levels: tuple[Levels, ...]
    extremes: PictureExtremes
    sixteen_bit: bool
    size: tuple[int, int]  # width, height

    def white(self, sixteen_bit_white: int) -> int:
        """Its value of white."""
        return sixteen_bit_white if self.sixteen_bit else 255


@dataclass(frozen=True)
class TrainingSet:
    """The good images of a folder: `files` in order, `unreadable` ones with the reason, exact `duplicates` left out.

    `hashes` and `looked` are of the files in their order. `sha256` is over the files' own hashes in order; `sizes` the
    distinct (width, height) in pixels. `passed_over` are the files of the folder that were not looked at, by reason.
    `groups` are the groups of channels that every part has; a part may be a folder of files then.
    """

    folder: Path
    files: tuple[Path, ...]
    hashes: tuple[str, ...]
    looked: tuple[Looked, ...]
    passed_over: Mapping[Reason, tuple[str, ...]]
    unreadable: tuple[tuple[Path, str], ...]
    duplicates: tuple[Path, ...]
    sizes: tuple[tuple[int, int], ...]
    sixteen_bit_white: WhiteLevel
    sha256: str
    groups: Groups = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The files' paths from the folder on."""
        return tuple(file.relative_to(self.folder).as_posix() for file in self.files)

    @property
    def passed_over_record(self) -> dict[str, PassedOver]:
        """For the manifest."""
        return {reason: PassedOver(count=len(names), first=names[:NAMED]) for reason, names in self.passed_over.items()}

    def facts(self, white: int) -> list[PictureFacts]:
        """Of each picture; `white` is the white level of 16 bits."""
        return [one.extremes.facts(one.white(white)) for one in self.looked]

    def levels(self, white: int) -> LevelRange:
        """Of all pictures; `white` is the white level of 16 bits."""
        return collect_levels(levels.shares(one.white(white)) for one in self.looked for levels in one.levels)

    def warnings(self, preprocessing: Preprocessing) -> Iterator[str]:
        """What a person should know of the pictures before they are trained on."""
        if self.size_warning:
            yield self.size_warning
        small = [size for size in self.sizes if is_enlarged(*size, preprocessing.image_size)]
        if small:
            width, height = min(small, key=min)
            yield (
                f"pictures have a side below the network's input of {preprocessing.image_size} (one has {width} x "
                f"{height}): what is enlarged gains nothing. Take larger pictures or a smaller --image-size"
            )
        if preprocessing.sixteen_bit_white < self.sixteen_bit_white and any(one.sixteen_bit for one in self.looked):
            yield f"the white level {preprocessing.sixteen_bit_white} cuts off the brightest values of these pictures"
        large = [name for name, one in zip(self.names, self.looked, strict=True) if one.size[0] * one.size[1] > SERVED]
        if large:
            yield (
                f"{len(large)} pictures have more than {SERVED:,} pixels ({large[0]}, ...): service and mkd-score "
                "refuse such pictures unless their --max-image-pixels is raised"
            )

    def subset(self, indices: Sequence[int]) -> TrainingSet:
        """The same for some of the files."""
        files = tuple(self.files[index] for index in indices)
        hashes = tuple(self.hashes[index] for index in indices)
        looked = tuple(self.looked[index] for index in indices)
        sizes = tuple(sorted({one.size for one in looked}))
        digest = hashlib.sha256(b"".join(bytes.fromhex(one) for one in hashes)).hexdigest()
        return replace(self, files=files, hashes=hashes, looked=looked, sizes=sizes, sha256=digest)

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


def read_training_set(data: Path, *, subfolders: bool = False, groups: Groups | None = None) -> TrainingSet:
    """Looks at every file once. Raises DataError for a folder with no image, or fewer usable than FEWEST_IMAGES.

    Without `subfolders` pictures in folders below are passed over and told: they may show other things than good parts.
    `groups` are the groups of channels that parts must have, () for plain pictures; None finds them
    (trainer.part_files).
    """
    folder = good_folder(data)
    contents = find_parts(folder, subfolders=subfolders, groups=groups)
    if not contents.paths:
        passed = "".join(f"; {words}" for words in passed_over_words(contents.passed_over))
        hint = "; give --subfolders if they are good parts" if "subfolder" in contents.passed_over else ""
        raise DataError(
            f"no image in {folder}: good parts are expected there as {', '.join(sorted(IMAGE_SUFFIXES))}, "
            f"or in {folder}/train/good{passed}{hint}"
        )
    files: list[Path] = []
    looked: list[Looked] = []
    unreadable: list[tuple[Path, str]] = []
    duplicates: list[Path] = []
    hashes: dict[bytes, Path] = {}
    brightest = 0
    for file in contents.paths:
        try:
            content = part_bytes(file)
            pixels = decode_groups(content, contents.groups, LIMITS).pixels
        except (ImageError, OSError) as error:
            unreadable.append((file, _words_of(error)))
            continue
        digest = hashlib.sha256(content).digest()
        if digest in hashes:
            duplicates.append(file)  # twice the same picture on both sides of the split would flatter the calibration
            continue
        hashes[digest] = file
        files.append(file)
        looked.append(_look(pixels, contents.groups))
        if pixels.dtype == np.uint16:
            brightest = max(brightest, int(pixels.max()))
    if len(files) < FEWEST_IMAGES:
        left_out = f" ({len(unreadable)} unreadable, {len(duplicates)} duplicates)" if unreadable or duplicates else ""
        if contents.groups:
            left_out += f", each with the channels {group_words(contents.groups)}"
        left_out += f"; the first that was left out, {unreadable[0][0].name}: {unreadable[0][1]}" if unreadable else ""
        raise DataError(
            f"{len(files)} usable images in {folder}{left_out}; at least {FEWEST_IMAGES} good parts are needed, "
            "and some 200 are better"
        )
    white = next(level for level in WHITE_LEVELS if brightest <= level) if brightest else WHITE_LEVELS[-1]
    return TrainingSet(
        folder=folder,
        files=tuple(files),
        hashes=tuple(digest.hex() for digest in hashes),
        looked=tuple(looked),
        passed_over=contents.passed_over,
        unreadable=tuple(unreadable),
        duplicates=tuple(duplicates),
        sizes=tuple(sorted({one.size for one in looked})),
        sixteen_bit_white=white,
        sha256=hashlib.sha256(b"".join(hashes)).hexdigest(),
        groups=contents.groups,
    )


def _look(pixels: Pixels, groups: Groups) -> Looked:
    height, width = pixels.shape[:2]
    levels = tuple(measure_levels(picture) for picture in group_pictures(pixels, groups))
    return Looked(levels, picture_extremes(pixels), pixels.dtype == np.uint16, (width, height))


def _words_of(error: ImageError | OSError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
