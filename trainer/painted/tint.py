"""A cast of colour, or of brightness on a grey picture, with a soft edge: a discoloured place."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import blob, signed

STRONGEST = 0.25  # of white: a stronger cast is a stain
STRONGEST_HUE = 0.12  # of white, where the colour changes and not the brightness


def tint(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Light and dark places change by their own brightness, so the texture stays."""
    region = blob(scene, wish.area, random, ragged=random.uniform(0, 0.25), soft=random.uniform(0.4, 0.9))
    old = scene.window(region.box)
    level = float(old.mean())
    step = signed(level, min(wish.contrast, STRONGEST), random)
    cast = step * scene.colour(random)
    if not scene.grey and random.random() < 0.5:
        cast = cast - cast.mean()  # a change of hue at the same brightness
        cast *= min(abs(step), STRONGEST_HUE) / max(float(np.abs(cast).max()), 1e-6)
    weight = 0.4 + 0.6 * np.clip(old / max(level, 0.05), 0, 2)
    return Change(region.box, np.asarray(old + region.cover[..., None] * cast * weight, dtype=np.float32))
