"""A piece of the part that occurs a second time: copied, turned a little, to another place."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, mixed

TURN = 25.0  # degrees to either side


def doubled(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the two places look alike."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.2))
    box, old = region.box, scene.window(region.box)
    best, most = old, -1.0
    for _ in range(4):  # of some pieces, the one that differs most from the place that it comes to
        piece = scene.window(scene.around(*scene.place(random), box.height, box.width))
        differs = float((np.abs(piece - old).mean(axis=2) * region.cover).sum())
        if differs > most:
            best, most = piece, differs
    turn = cv2.getRotationMatrix2D((box.width / 2, box.height / 2), random.uniform(-TURN, TURN), 1.0)
    turned = cv2.warpAffine(best, turn, (box.width, box.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return Change(box, mixed(old, np.asarray(turned, dtype=np.float32), region.cover))
