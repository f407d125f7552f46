"""A rough place: fine noise over the part."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, cloud

COARSEST = 300  # grains are about so many times finer than the picture's longer side


def grain(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. The mean size of the change is the wished contrast."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.3), soft=random.uniform(0.1, 0.5))
    old = scene.window(region.box)
    coarseness = random.uniform(0.4, 0.9) * max(1.0, max(scene.height, scene.width) / COARSEST)
    noise = cloud(region.cover.shape, coarseness, random)[..., None] * scene.colour(random)
    room = max(float(min(old.mean(), 1 - old.mean())), 0.1)
    noise = np.abs(noise) if room < 0.15 and old.mean() < 0.5 else noise
    noise = -np.abs(noise) if room < 0.15 and old.mean() >= 0.5 else noise
    return Change(region.box, old + 1.25 * wish.contrast * region.cover[..., None] * noise)
