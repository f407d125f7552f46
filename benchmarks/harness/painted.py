"""A picture of a good part in, the same picture with one made-up defect and its mask out: five kinds, for any product.

They know nothing of real defects. What they are for: choosing between scores without looking at a labelled defect. The
pasted patch and the scar are those of CutPaste (Li et al., CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels

Picture = npt.NDArray[np.float32]  # (H, W, 3), 0 to 255
Mask = npt.NDArray[np.bool_]
Painter = Callable[[Picture, np.random.Generator], tuple[Picture, Mask]]


def patch(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A rectangle of 2 to 8 % of the picture, copied to another place, a little lighter or darker."""
    height, width = picture.shape[:2]
    area, ratio = random.uniform(0.02, 0.08) * height * width, np.exp(random.uniform(np.log(0.4), np.log(2.5)))
    tall = int(np.clip(np.sqrt(area * ratio), 4, 0.6 * height))
    wide = int(np.clip(np.sqrt(area / ratio), 4, 0.6 * width))
    from_y, to_y = random.integers(0, height - tall, size=2)
    from_x, to_x = random.integers(0, width - wide, size=2)
    changed, mask = picture.copy(), np.zeros((height, width), dtype=bool)
    mask[to_y : to_y + tall, to_x : to_x + wide] = True
    copied = picture[from_y : from_y + tall, from_x : from_x + wide]
    changed[mask] = (copied * random.uniform(0.85, 1.15)).reshape(-1, 3)
    return changed, mask


def scar(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A straight thin line, lighter or darker than the picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    half = random.uniform(0.05, 0.15) * side
    angle = random.uniform(0, np.pi)
    along = half * np.array([np.cos(angle), np.sin(angle)])
    middle = random.uniform(0.2, 0.8, size=2) * (width, height)
    drawn = np.zeros((height, width), np.uint8)
    thickness = max(1, int(random.uniform(0.008, 0.03) * side))
    start, end = ((int(x), int(y)) for x, y in (middle - along, middle + along))
    cv2.line(drawn, start, end, 255, thickness)
    share = 0.8 * cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), 0.7)[..., None]
    away = random.choice([-1, 1]) * random.uniform(0.5, 1.5) * max(float(picture.std()), 15.0)
    return picture * (1 - share) + (picture.mean() + away) * share, drawn > 0


def stain(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A soft spot with a ragged edge, 10 to 30 % lighter or darker."""
    where = _spot(picture, random, 0.08, 0.25, ragged=0.4)
    return picture * (1 - where[..., None] * random.choice([-1, 1]) * random.uniform(0.1, 0.3)), where > 0.5


def warp(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A place that is bent out of shape."""
    height, width = picture.shape[:2]
    where = _spot(picture, random, 0.12, 0.25)
    reach = random.uniform(0.02, 0.05) * min(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x = columns + reach * where * _cloud(picture, random)
    y = rows + reach * where * _cloud(picture, random)
    bent = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(bent, dtype=np.float32), where > 0.5


def texture(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A place that is blurred, or grained."""
    where = np.clip(2 * _spot(picture, random, 0.1, 0.3), 0, 1)[..., None]
    if random.random() < 0.5:
        other = cv2.GaussianBlur(picture, (0, 0), 0.02 * min(picture.shape[:2]))
    else:
        other = picture + random.normal(size=picture.shape[:2])[..., None] * random.uniform(8, 25)
    return picture * (1 - where) + other * where, where[..., 0] > 0.5


PAINTERS: Mapping[str, Painter] = {"patch": patch, "scar": scar, "stain": stain, "warp": warp, "texture": texture}


def painted(pixels: Pixels, painter: Painter, random: np.random.Generator) -> tuple[Pixels, Mask]:
    """(H, W, 3) of 8 or 16 bits -> the changed picture of the same kind, and where it was changed."""
    white = np.iinfo(pixels.dtype).max
    changed, mask = painter((pixels * (255 / white)).astype(np.float32), random)
    return cast(Pixels, (np.clip(changed, 0, 255) * (white / 255)).astype(pixels.dtype)), mask


def _spot(
    picture: Picture, random: np.random.Generator, least: float, most: float, ragged: float = 0.0
) -> npt.NDArray[np.float32]:
    """(H, W), 0 to 1: a disc with a soft edge somewhere in the middle, its radius a share of the shorter side."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    y, x = random.uniform(0.25, 0.75, size=2) * (height, width)
    radius = random.uniform(least, most) * min(height, width)
    soft = 1.5 - np.hypot(rows - y, columns - x) / radius + ragged * _cloud(picture, random)
    return np.asarray(np.clip(soft, 0, 1), dtype=np.float32)


def _cloud(picture: Picture, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(H, W) of smooth noise with a standard deviation of 1."""
    noise = random.normal(size=picture.shape[:2]).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 0.05 * min(picture.shape[:2]))
    return np.asarray(smooth / smooth.std(), dtype=np.float32)
