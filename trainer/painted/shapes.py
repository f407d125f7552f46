"""The soft shapes that painted defects are made of: clouds of noise, ragged regions, rectangles and bent lines."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from trainer.painted.scene import Box, Cover, Picture, Scene

FINER = 4  # lines are drawn this much larger and shrunk, so that their edges are soft
SOFT_REACH = 3.0  # pixels of sigma; wider blurs are made at a smaller size
FINEST_SIDE = 512  # windows above are drawn at their own size: their lines are wide enough


class Region(NamedTuple):
    """A window of the picture and how much of the defect each of its places gets, 0 to 1."""

    box: Box
    cover: Cover


def cloud(shape: tuple[int, int], grain: float, random: np.random.Generator) -> Cover:
    """(H, W) of smooth noise with mean 0 and standard deviation 1; `grain` is its scale in pixels."""
    step = max(1, int(grain / 3))  # coarse clouds are made small and enlarged
    small = (-(-shape[0] // step), -(-shape[1] // step))
    noise = random.normal(size=small).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(grain / step, 0.3))
    if step > 1:
        smooth = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), dtype=np.float32)


def smoothstep(values: Cover, low: float, high: float) -> Cover:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def blob(
    scene: Scene,
    area: float,
    random: np.random.Generator,
    *,
    ragged: float = 0.3,
    soft: float = 0.0,
    centre: tuple[float, float] | None = None,
) -> Region:
    """An uneven ellipse of `area` pixels where something is. `ragged` and `soft` are in shares of its radius."""
    y, x = centre or scene.place(random)
    radius = max(float(np.sqrt(area / np.pi)), 0.6)
    stretch, turn = float(np.exp(random.uniform(-0.5, 0.5))), random.uniform(0, np.pi)
    side = int(2 * radius * (max(stretch, 1 / stretch) + ragged + soft)) + 5
    box = scene.around(y, x, side, side)
    rows, columns = np.mgrid[: box.height, : box.width].astype(np.float32)
    dy, dx = rows - (min(y, scene.height - 1) - box.top), columns - (min(x, scene.width - 1) - box.left)
    along = (dx * np.cos(turn) + dy * np.sin(turn)) * stretch
    across = (dy * np.cos(turn) - dx * np.sin(turn)) / stretch
    distance = np.hypot(along, across) - ragged * radius * cloud(rows.shape, max(0.35 * radius, 0.7), random)
    edge = _edge(distance, area)
    width = max(1.0, soft * radius)
    return Region(box, smoothstep(edge - distance, -width / 2, width / 2))


def _edge(distance: Cover, area: float) -> float:
    """The distance that `area` pixels lie below."""
    count = int(np.clip(round(area), 1, distance.size - 1))
    return float(np.partition(distance.ravel(), count)[count])


def rectangle(scene: Scene, area: float, ratio: float, random: np.random.Generator) -> Box:
    """An upright box of `area` pixels about a place where something is; `ratio` is its height over its width."""
    tall = float(np.clip(np.sqrt(area * ratio), 1, 0.9 * scene.height))
    wide = float(np.clip(area / tall, 1, 0.9 * scene.width))
    tall = min(area / wide, 0.9 * scene.height)
    return scene.around(*scene.place(random), max(1, round(tall)), max(1, round(wide)))


def elsewhere(scene: Scene, box: Box, random: np.random.Generator) -> Box:
    """A box of that size at another place, as far as 20 tries bring it."""
    best, farthest = box, -1.0
    for _ in range(20):
        other = Box(
            int(random.integers(0, scene.height - box.height + 1)),
            int(random.integers(0, scene.width - box.width + 1)),
            box.height,
            box.width,
        )
        far = max(abs(other.top - box.top) / box.height, abs(other.left - box.left) / box.width)
        if far >= 1:
            return other
        if far > farthest:
            best, farthest = other, far
    return best


def line(shape: tuple[int, int], points: npt.NDArray[np.float64], thickness: float, *, fading: bool = True) -> Cover:
    """(H, W) cover of a line through (n, 2) points x, y, thinner and fainter towards both ends where it is `fading`."""
    finer = FINER if max(shape) <= FINEST_SIDE else 1
    drawn = np.zeros((shape[0] * finer, shape[1] * finer), np.float32)
    fine = np.rint((points + 0.5) * finer).astype(np.int32)
    for place, (start, end) in enumerate(pairwise(fine)):
        strength = float(np.sin(np.pi * (place + 1) / len(fine)) ** 0.5) if fading else 1.0
        width = max(1, round(thickness * finer * strength))
        cv2.line(drawn, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), strength, width, cv2.LINE_AA)
    return np.asarray(cv2.resize(drawn, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), dtype=np.float32)


def softened(picture: Picture, sigma: float, kernel: Cover | None = None) -> Picture:
    """Blurred by a Gaussian of `sigma` pixels, or by a kernel that is made for a sigma of SOFT_REACH.

    Wide blurs are made at a smaller size: what they leave is smooth, and the time does not grow with `sigma`.
    """
    height, width = picture.shape[:2]
    step = sigma / SOFT_REACH
    if step > 1:
        size = (max(1, round(width / step)), max(1, round(height / step)))
        small, sigma = cv2.resize(picture, size, interpolation=cv2.INTER_AREA), SOFT_REACH
    else:
        small = picture
    if kernel is None:
        soft = cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    else:
        soft = cv2.filter2D(small, cv2.CV_32F, _fitting(kernel, step), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _fitting(kernel: Cover, step: float) -> Cover:
    """The kernel, smaller for a sigma below SOFT_REACH."""
    if step < 1:
        side = 2 * max(1, round(step * (len(kernel) // 2))) + 1
        kernel = np.asarray(cv2.resize(kernel, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def mixed(old: Picture, other: Picture, cover: Cover) -> Picture:
    """`other` laid over `old` by the cover."""
    return np.asarray(old + (other - old) * cover[..., None], dtype=np.float32)


def signed(level: float, contrast: float, random: np.random.Generator) -> float:
    """`contrast` or its negative by chance, but never out of 0 to 1 where the other way has more room."""
    up, down = 1 - level, level
    if min(up, down) < contrast:
        return contrast if up > down else -contrast
    return float(contrast * random.choice([-1, 1]))
