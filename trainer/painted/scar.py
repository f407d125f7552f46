"""A thin turned strip of another place, lighter or darker: the scar of CutPaste (Li et al., CVPR 2021)."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import elsewhere, line, mixed, signed


def scar(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. The strip is 5 to 15 times as long as it is wide."""
    length = float(np.sqrt(wish.area * random.uniform(5, 15)))
    angle = random.uniform(0, np.pi)
    along = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    tall, wide = (int(2 * abs(part)) + int(wish.area / length) + 5 for part in along[::-1])
    box = scene.around(*scene.place(random), tall, wide)
    middle = np.array([box.width / 2, box.height / 2])
    cover = line((box.height, box.width), np.stack([middle - along, middle + along]), wish.area / length, fading=False)
    old, filling = scene.window(box), scene.window(elsewhere(scene, box, random))
    filling = filling + signed(float(old.mean()), wish.contrast, random) * scene.colour(random)
    return Change(box, mixed(old, filling, cover))
