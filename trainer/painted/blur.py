"""A place out of focus or smeared in one direction."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, mixed


def blur(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the part has no texture."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.25), soft=0.3)
    old = scene.window(region.box)
    sigma = max(1.2, random.uniform(0.12, 0.35) * float(np.sqrt(wish.area / np.pi)))
    if random.random() < 0.6:
        smooth = cv2.GaussianBlur(old, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    else:
        smooth = cv2.filter2D(old, cv2.CV_32F, _smear(2 * sigma, random), borderType=cv2.BORDER_REFLECT_101)
    return Change(region.box, mixed(old, np.asarray(smooth, dtype=np.float32), region.cover))


def _smear(length: float, random: np.random.Generator) -> cv2.typing.MatLike:
    """A kernel that averages along a line."""
    half = max(1, round(length))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    angle = random.uniform(0, np.pi)
    x, y = round(half * np.cos(angle)), round(half * np.sin(angle))
    cv2.line(kernel, (half - x, half - y), (half + x, half + y), 1.0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)
