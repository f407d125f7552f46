"""A stain: a ragged spot, lighter or darker than the part and of another colour, the part's texture showing through."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, cloud, signed, smoothstep

RIM = 0.4  # how much stronger the stain is along its edge


def spot(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0.1, 0.4), soft=random.uniform(0.1, 0.5))
    old, cover = scene.window(region.box), region.cover
    rim = 1 + RIM * random.uniform() * (1 - smoothstep(cover, 0.6, 1.0))
    strength = cover * rim * (1 + 0.12 * cloud(cover.shape, max(np.sqrt(wish.area) / 4, 1.0), random))
    level = float((old.mean(axis=2) * cover).sum() / max(float(cover.sum()), 1e-6))
    step = signed(level, wish.contrast, random)
    # Something dark soaks in: it takes a share of the light. Something light lies on top: it adds to it.
    taken = np.clip(old / max(level, 0.05), 0.5, 1.5) if step < 0 else np.ones_like(old)
    return Change(region.box, old + step * strength[..., None] * taken * scene.colour(random))
