"""scikit-image's photograph of a brick wall in, a labelled set in the MVTec layout out: train, test, ground truth.

A good part is a piece of this wall, photographed anew each time: another place, distance, tilt, light and sensor noise.
Training, held-out and test pictures come about in the same way, as the good parts of a line do; only then can a
threshold keep its promise. They show the same wall, so this demo says nothing of other walls. Defects are painted on
test pictures only.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from examples.demo_defects import PAINTERS, Mask, Picture, paint

SIDE = 128  # pixels of a picture
WINDOW = (118, 134)  # pixels of the wall that a picture shows
TILT = 1.5  # degrees to either side
LIGHT = 0.06  # share that the exposure varies to either side
NOISE = 1.5  # grey values, standard deviation


class Counts(NamedTuple):
    """How many pictures of each kind are written."""

    train: int = 300
    good: int = 40
    defect: int = 10


def brick_wall() -> Picture:
    """(512, 512) grey values: the photograph, turned so that the courses lie flat."""
    file = files("skimage.data").joinpath("brick.png")  # in the wheel, unlike most of what skimage.data names
    grey = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise OSError("scikit-image's brick.png is not a picture")
    return np.ascontiguousarray(np.rot90(grey), dtype=np.float32)


def write_set(folder: Path, counts: Counts, seed: int = 0) -> None:
    """Writes train/good, test/good, test/<defect> and ground_truth/<defect>, in place of what was there."""
    if folder.exists():
        shutil.rmtree(folder)
    photograph, random = brick_wall(), np.random.default_rng(seed)
    for number in range(counts.train):
        _write(folder / "train" / "good" / f"{number:03}.png", crop(photograph, random))
    for number in range(counts.good):
        _write(folder / "test" / "good" / f"{number:03}.png", crop(photograph, random))
    for defect, painter in PAINTERS.items():
        for number in range(counts.defect):
            picture, mask = paint(crop(photograph, random), painter, random)
            _write(folder / "test" / defect / f"{number:03}.png", picture)
            _write(folder / "ground_truth" / defect / f"{number:03}_mask.png", mask)


def crop(wall: Picture, random: np.random.Generator) -> Picture:
    """One photograph (SIDE, SIDE) of a random place of the wall."""
    window, tilt = random.uniform(*WINDOW), random.uniform(-TILT, TILT)
    reach = (
        window / 2 * (1 + np.sin(np.radians(abs(tilt)))) + 1
    )  # nothing outside of the wall may come into the picture
    height, width = wall.shape
    x, y = random.uniform(reach, width - reach), random.uniform(reach, height - reach)
    turn = cv2.getRotationMatrix2D((x, y), tilt, SIDE / window)
    turn[:, 2] += np.array([SIDE / 2 - x, SIDE / 2 - y])
    seen = cv2.warpAffine(wall, turn, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    lit = seen * random.uniform(1 - LIGHT, 1 + LIGHT) + random.normal(0, NOISE, seen.shape)
    return np.asarray(np.clip(lit, 0, 255), dtype=np.float32)


def _write(file: Path, picture: Picture | Mask) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = picture * np.uint8(255) if picture.dtype == np.bool_ else np.rint(picture)
    if not cv2.imwrite(str(file), values.astype(np.uint8)):
        raise OSError(f"{file} could not be written")
