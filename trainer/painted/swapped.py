"""One of the part's own materials in place of another: a bridge or gap, a bite, a spur, a pinhole or a splash.

What is there and what comes instead are grey levels of the part around the place, so nothing but the shape is strange.
"""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Box, Cover, Picture, Scene
from trainer.painted.shapes import blob, line, mixed, softened

AROUND = 3.0  # widths of the defect in which materials are looked for
EXTREMES = 0.1  # shares of the pixels around that are taken for the dark and for the light material
SOFT = 0.6  # pixels of sigma along the edge, as a lens leaves it
STROKES = 0.4  # share of the defects that are short thick lines


def swapped(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. Nothing changes where the part is of one material."""
    box, cover = _stroke(scene, wish.area, random) if random.random() < STROKES else _blob(scene, wish.area, random)
    old = scene.window(box)
    dark, light = _materials(scene, box)
    inside = cover > 0.5
    level = float(old[inside].mean()) if inside.any() else float(old.mean())
    other = light if level < (dark.mean() + light.mean()) / 2 else dark
    filling = other + random.normal(0, scene.noise, cover.shape).astype(np.float32)[..., None]
    return Change(box, mixed(old, np.asarray(filling, dtype=np.float32), softened(cover, SOFT)))


def _blob(scene: Scene, area: float, random: np.random.Generator) -> tuple[Box, Cover]:
    region = blob(scene, area, random, ragged=random.uniform(0.05, 0.35))
    return region.box, region.cover


def _stroke(scene: Scene, area: float, random: np.random.Generator) -> tuple[Box, Cover]:
    """A straight line that is 2 to 6 times as long as it is wide."""
    length = float(np.sqrt(area * random.uniform(2, 6)))
    angle = random.uniform(0, np.pi)
    along = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    tall, wide = (int(2 * abs(part)) + int(area / length) + 5 for part in along[::-1])
    box = scene.around(*scene.place(random), tall, wide)
    middle = np.array([box.width / 2, box.height / 2])
    ends = np.stack([middle - along, middle + along])
    return box, line((box.height, box.width), ends, area / length, fading=False)


def _materials(scene: Scene, box: Box) -> tuple[Picture, Picture]:
    """The mean colours (3,) of the darkest and of the lightest pixels around the box."""
    y, x = box.top + box.height / 2, box.left + box.width / 2
    seen = scene.window(scene.around(y, x, round(AROUND * box.height), round(AROUND * box.width))).reshape(-1, 3)
    grey = seen.mean(axis=1)
    low, high = np.quantile(grey, [EXTREMES, 1 - EXTREMES])
    return seen[grey <= low].mean(axis=0), seen[grey >= high].mean(axis=0)
