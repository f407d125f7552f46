"""A grey picture of a brick wall in, the same picture with one believable defect and its mask out.

Every painter takes (H, W) float32 grey values 0..255 and a random generator, and gives (picture, mask): the mask is
bool and covers what was really changed. Masonry lies in courses along x, joints are brighter than bricks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Painter = Callable[[Picture, np.random.Generator], tuple[Picture, Mask]]

FINER = 4  # lines are drawn this much larger and shrunk, so that their edges are soft
LEAST_CHANGE = 6.0  # grey values; a smaller change is no part of the defect
LEAST_AREA = 60  # pixels; fewer would be a defect that nobody sees


def scratch(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A gouge of a tool: a thin bent line, lighter in the middle, with a shadow at one side, fading at its ends."""
    height, width = picture.shape
    angle = random.uniform(0, np.pi)
    length = random.uniform(0.45, 0.75) * width
    middle = np.array([width, height]) * random.uniform(0.38, 0.62, size=2)
    along = np.linspace(-0.5, 0.5, 60)
    across = random.uniform(-0.12, 0.12) * length * (1 - (2 * along) ** 2) + np.cumsum(random.normal(0, 0.25, 60))
    x = middle[0] + along * length * np.cos(angle) - across * np.sin(angle)
    y = middle[1] + along * length * np.sin(angle) + across * np.cos(angle)
    points = np.stack([x, y], axis=1)
    core, shadow = _line(picture.shape, points, 2.0), _line(picture.shape, points + 1.3, 2.0)
    pressure = 0.75 + 0.25 * _cloud(picture.shape, 9.0, random)
    changed = picture * (1 - 0.55 * shadow * pressure)
    changed = changed + core * pressure * (165 - changed) * 0.85
    return _done(picture, changed)


def stain(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """Something soaked in: darker, with an uneven edge and a slightly darker rim; the wall's texture stays visible."""
    wetness = _blob(picture.shape, random.uniform(0.16, 0.25), 0.55, random)
    soaked = _smoothstep(wetness, 0.30, 0.48)
    rim = soaked * (1 - _smoothstep(wetness, 0.44, 0.66))
    depth = random.uniform(0.42, 0.52) * (0.9 + 0.1 * _cloud(picture.shape, 6.0, random))
    return _done(picture, picture * (1 - depth * soaked - 0.14 * rim))


def chip(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """A broken-off corner: rough bare clay, paler than the weathered face, lit from above and shadowed at its rim."""
    joints = _joints(picture)
    y, x = _pick(cv2.dilate(joints, np.ones((3, 3), np.uint8)) > 0, random)
    crumble = _blob(picture.shape, random.uniform(0.10, 0.14), 0.9, random, centre=(x, y))
    gone = _smoothstep(crumble, 0.36, 0.46)
    rough = _cloud(picture.shape, 1.3, random) * 0.6 + _cloud(picture.shape, 3.5, random) * 0.4
    slope = cv2.Sobel(cv2.GaussianBlur(gone + 0.25 * rough, (0, 0), 1.2), cv2.CV_32F, 0, 1, ksize=3)
    clay = 118 + 20 * rough - 45 * np.clip(slope, -1, 1)
    return _done(picture, picture * (1 - gone) + clay * gone)


def missing_mortar(picture: Picture, random: np.random.Generator) -> tuple[Picture, Mask]:
    """Mortar that has fallen out: a stretch of joint is a dark gap with crumbs in it."""
    joints = _joints(picture)
    y, x = _pick(joints > 0, random)
    stretch = _smoothstep(_blob(picture.shape, random.uniform(0.18, 0.25), 0.6, random, centre=(x, y)), 0.30, 0.40)
    gap = cv2.GaussianBlur(cv2.dilate(joints, np.ones((2, 2), np.uint8)).astype(np.float32), (0, 0), 0.7) * stretch
    crumbs = np.clip(_cloud(picture.shape, 1.4, random) - 1.1, 0, 1)
    dark = 36 + 8 * _cloud(picture.shape, 2.0, random) + 70 * crumbs
    return _done(picture, picture * (1 - gap) + dark * gap)


PAINTERS: Mapping[str, Painter] = {"chip": chip, "missing_mortar": missing_mortar, "scratch": scratch, "stain": stain}


def paint(picture: Picture, painter: Painter, random: np.random.Generator) -> tuple[Picture, Mask]:
    """Paints until the defect is large enough to be seen: a chip may by chance fall off the picture's edge."""
    while True:
        changed, mask = painter(picture, random)
        if mask.sum() >= LEAST_AREA:
            return changed, mask


def _done(before: Picture, after: Picture) -> tuple[Picture, Mask]:
    changed = np.abs(after - before) >= LEAST_CHANGE
    mask = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return np.clip(after, 0, 255).astype(np.float32), np.asarray(mask > 0)


def _line(shape: tuple[int, ...], points: npt.NDArray[np.float64], thickness: float) -> Picture:
    """0..1 coverage of a line through (n, 2) points x, y, thinner and fainter towards both ends."""
    drawn = np.zeros((shape[0] * FINER, shape[1] * FINER), np.float32)
    fine = np.rint(points * FINER).astype(np.int32)
    for place, (start, end) in enumerate(pairwise(fine)):
        strength = float(np.sin(np.pi * (place + 1) / len(fine)) ** 0.5)
        width = max(1, round(thickness * FINER * strength))
        first, last = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(drawn, first, last, strength, width, cv2.LINE_AA)
    return cv2.resize(drawn, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32)


def _cloud(shape: tuple[int, ...], grain: float, random: np.random.Generator) -> Picture:
    """Smooth noise of mean 0 and standard deviation 1; `grain` is its scale in pixels."""
    noise = cv2.GaussianBlur(random.normal(size=shape).astype(np.float32), (0, 0), grain)
    return np.asarray((noise - noise.mean()) / noise.std(), dtype=np.float32)


def _blob(
    shape: tuple[int, ...],
    radius: float,
    unevenness: float,
    random: np.random.Generator,
    centre: tuple[int, int] | None = None,
) -> Picture:
    """1 in the middle and falling to 0, with an edge that noise has eaten into; `radius` as a share of the width."""
    height, width = shape
    at = np.array(centre) if centre is not None else np.array([width, height]) * random.uniform(0.3, 0.7, size=2)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    stretch, turn = random.uniform(0.7, 1.3), random.uniform(0, np.pi)
    dx, dy = columns - at[0], rows - at[1]
    along = (dx * np.cos(turn) + dy * np.sin(turn)) * stretch
    across = (dy * np.cos(turn) - dx * np.sin(turn)) / stretch
    distance = np.hypot(along, across) / (radius * width)
    eaten = 0.18 * unevenness * _cloud(shape, radius * width * 0.28, random)
    return np.asarray(np.exp(-(distance**2)) + eaten * (distance < 1.6), dtype=np.float32)


def _smoothstep(values: Picture, low: float, high: float) -> Picture:
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def _joints(picture: Picture) -> npt.NDArray[np.uint8]:
    """1 where there is mortar: brighter than Otsu's threshold."""
    smooth = cv2.GaussianBlur(np.clip(picture, 0, 255).astype(np.uint8), (0, 0), 1.0)
    _, bright = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(bright, dtype=np.uint8)


def _pick(where: Mask, random: np.random.Generator) -> tuple[int, int]:
    """(y, x) of one of the places, away from the edge where there are any such."""
    margin = where.shape[0] // 4
    inner = np.zeros_like(where)
    inner[margin:-margin, margin:-margin] = True
    places = np.argwhere(where & inner if (where & inner).any() else where)
    y, x = places[random.integers(len(places))]
    return int(y), int(x)
