"""A place that is bent out of shape: swollen, pinched, turned or dented."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, cloud


def warp(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the part has no texture."""
    region = blob(scene, 1.3 * wish.area, random, ragged=random.uniform(0, 0.15), soft=1.0)
    old, cover = scene.window(region.box), region.cover
    radius = float(np.sqrt(wish.area / np.pi))
    rows, columns = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float32)
    weight = max(float(cover.sum()), 1e-6)
    dy, dx = rows - (rows * cover).sum() / weight, columns - (columns * cover).sum() / weight
    way, strength = random.integers(3), random.uniform(0.35, 0.7) * random.choice([-1, 1])
    if way == 0:
        move_y, move_x = strength * dy, strength * dx
    elif way == 1:
        turn = 2.2 * strength * cover
        move_y, move_x = dy * (np.cos(turn) - 1) + dx * np.sin(turn), dx * (np.cos(turn) - 1) - dy * np.sin(turn)
    else:
        scale = strength * max(radius, 2.0)
        move_y, move_x = (0.6 * scale * cloud(cover.shape, max(0.5 * radius, 1.5), random) for _ in range(2))
    x, y = columns + cover * move_x, rows + cover * move_y
    bent = cv2.remap(old, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return Change(region.box, np.asarray(bent, dtype=np.float32))
