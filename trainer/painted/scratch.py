"""A bent thin line as a tool leaves it: lighter or darker, with a shadow at one side, fading at its ends."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import cloud, line, signed

POINTS = 60  # of the line
SHADOW = 0.5  # share of the core's contrast


def scratch(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. The line is 12 to 60 times as long as it is wide, one pixel wide at least."""
    length = float(np.sqrt(wish.area * random.uniform(12, 60)))
    length = min(length, wish.area, 0.9 * float(np.hypot(scene.height, scene.width)))
    thickness = max(1.0, wish.area / length * 0.7)
    angle = random.uniform(0, np.pi)
    along = np.linspace(-0.5, 0.5, POINTS)
    bend = random.uniform(-0.15, 0.15) * length * (1 - (2 * along) ** 2)
    across = bend + 0.004 * length * np.cumsum(random.normal(0, 1, POINTS))
    x = along * length * np.cos(angle) - across * np.sin(angle)
    y = along * length * np.sin(angle) + across * np.cos(angle)
    margin = int(2 * thickness) + 5
    box = scene.around(*scene.place(random), int(np.ptp(y)) + margin, int(np.ptp(x)) + margin)
    middle = np.array([box.width - x.max() - x.min(), box.height - y.max() - y.min()]) / 2
    points = np.stack([x, y], axis=1) + middle
    shape = (box.height, box.width)
    core, shadow = line(shape, points, thickness), line(shape, points + 0.65 * thickness, thickness)
    pressure = np.clip(0.8 + 0.25 * cloud(shape, max(length / 15, 1.0), random), 0, 1.2)
    old = scene.window(box)
    step = signed(float(old[core > 0.3].mean()) if (core > 0.3).any() else float(old.mean()), wish.contrast, random)
    change = step * pressure * (core - SHADOW * np.clip(shadow - core, 0, 1))
    return Change(box, old + change[..., None] * scene.colour(random))
