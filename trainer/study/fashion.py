"""Fashion-MNIST's four IDX files in, pictures and labels out; one class against the others as a folder of pictures."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from trainer.data import DataError

CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
Bytes = npt.NDArray[np.uint8]


class Pictures(NamedTuple):
    """Pictures (n, 28, 28) grey and labels (n,)."""

    pictures: Bytes
    labels: Bytes


class Draw(NamedTuple):
    """How many pictures are drawn at most; None for all. `test_others` is of all other classes together."""

    train_images: int | None
    test_good: int | None
    test_others: int | None
    seed: int


def read_idx(folder: Path, part: str) -> Pictures:
    """`part` is "train" or "t10k"; files with or without .gz. Raises DataError where they are missing or damaged."""
    pictures = _read(folder, f"{part}-images-idx3-ubyte")
    labels = _read(folder, f"{part}-labels-idx1-ubyte")
    try:
        magic, count, height, width = struct.unpack_from(">4I", pictures)
        label_magic, label_count = struct.unpack_from(">2I", labels)
        if (magic, label_magic) != (IMAGES_MAGIC, LABELS_MAGIC) or count != label_count:
            raise ValueError("their headers are not those of pictures with one label each")
        return Pictures(
            np.frombuffer(pictures, np.uint8, offset=16).reshape(count, height, width),
            np.frombuffer(labels, np.uint8, offset=8).reshape(count),
        )
    except (struct.error, ValueError) as error:
        raise DataError(f"{folder}: the IDX files of {part} are damaged: {error}") from error


def _read(folder: Path, name: str) -> bytes:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        return plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} has no {name}: on Debian `apt-get install dataset-fashion-mnist` brings the files"
        ) from error
    except (OSError, EOFError) as error:
        raise DataError(f"{folder / name}: {error}") from error


def write_class(source: Path, out: Path, good: int, draw: Draw) -> None:
    """Writes class `good` against all others in the MVTec layout: train/good, test/good and test/<class name>."""
    train, test = read_idx(source, "train"), read_idx(source, "t10k")
    random = np.random.default_rng((draw.seed, good))

    def drawn(part: Pictures, label: int, count: int | None) -> Bytes:
        order = random.permutation(np.flatnonzero(part.labels == label))
        pictures: Bytes = part.pictures[np.sort(order[:count])]
        return pictures

    _write(out / "train" / "good", drawn(train, good, draw.train_images))
    _write(out / "test" / "good", drawn(test, good, draw.test_good))
    others = [label for label in range(len(CLASS_NAMES)) if label != good]
    for place, label in enumerate(others):
        # The remainder goes to the first classes, so that the sum is what was asked for.
        share = None if draw.test_others is None else (draw.test_others + len(others) - 1 - place) // len(others)
        _write(out / "test" / CLASS_NAMES[label], drawn(test, label, share))


def _write(folder: Path, pictures: Bytes) -> None:
    if not len(pictures):
        raise DataError(f"no picture for {folder.name}: the IDX files lack its class")
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        if not cv2.imwrite(str(folder / f"{number:05}.png"), picture):
            raise OSError(f"{folder}: cannot be written")
