"""A part or a piece of it that is not there: filled in from its surroundings (Telea's inpainting), with their noise."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Cover, Picture, Scene
from trainer.painted.shapes import blob, mixed

LARGEST_SIDE = 128  # pixels: larger windows are filled in at a smaller size, what comes in is smooth anyway
REACH = 5  # pixels that the inpainting looks around


def missing(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the surroundings look like the place itself."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.2))
    old = scene.window(region.box)
    filled = _filled(old, region.cover)
    filled += random.normal(0, scene.noise, old.shape[:2]).astype(np.float32)[..., None]
    return Change(region.box, mixed(old, filled, region.cover))


def _filled(old: Picture, cover: Cover) -> Picture:
    """The window with its covered places taken from around them."""
    height, width = cover.shape
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.rint(cv2.resize(old, size, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    gone = cv2.dilate((cv2.resize(cover, size, interpolation=cv2.INTER_AREA) > 0.02).astype(np.uint8), np.ones((3, 3)))
    filled = cv2.inpaint(small, gone, REACH, cv2.INPAINT_TELEA).astype(np.float32) / 255
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
