"""A hole, pit or chipped place: rough and dark (light on a dark part) inside, with an edge lit from one side."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, cloud, mixed, softened

LIT_EDGE = 0.6  # share of the contrast


def hole(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. The inside hides the part's texture."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0.15, 0.45))
    old, cover = scene.window(region.box), region.cover
    inside = cover > 0.5
    around = np.median(old[inside] if inside.any() else old.reshape(-1, 3), axis=0)
    step = -wish.contrast if around.mean() > wish.contrast else wish.contrast
    rough = 0.2 * abs(step) * cloud(cover.shape, max(np.sqrt(wish.area) / 8, 0.7), random)
    angle = random.uniform(0, 2 * np.pi)
    smooth = softened(cover, max(np.sqrt(wish.area) / 12, 0.6))
    slope = np.cos(angle) * cv2.Sobel(smooth, cv2.CV_32F, 1, 0) + np.sin(angle) * cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    lit = LIT_EDGE * abs(step) * slope / max(float(np.abs(slope).max()), 1e-6)
    filling = (around * (1 + step / max(float(around.mean()), 0.05)) if step < 0 else around + step)[None, None]
    picture = mixed(old, np.asarray(filling + rough[..., None], dtype=np.float32), cover)
    return Change(region.box, np.asarray(picture + lit[..., None] * np.clip(2 * cover, 0.3, 1)[..., None]))
