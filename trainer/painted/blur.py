"""A place out of focus or smeared in one direction."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Cover, Scene
from trainer.painted.shapes import SOFT_REACH, blob, mixed, softened


def blur(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the part has no texture."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.25), soft=0.3)
    old = scene.window(region.box)
    sigma = max(1.2, random.uniform(0.12, 0.35) * float(np.sqrt(wish.area / np.pi)))
    smooth = softened(old, sigma) if random.random() < 0.6 else softened(old, sigma, _smear(random))
    return Change(region.box, mixed(old, smooth, region.cover))


def _smear(random: np.random.Generator) -> Cover:
    """A kernel that averages along a line."""
    half = round(SOFT_REACH * 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    angle = random.uniform(0, np.pi)
    x, y = round(half * np.cos(angle)), round(half * np.sin(angle))
    cv2.line(kernel, (half - x, half - y), (half + x, half + y), 1.0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)
