"""The kinds of painted defects by name: what paints each, and at which sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from trainer.painted.blur import blur
from trainer.painted.change import Change, Wish
from trainer.painted.doubled import doubled
from trainer.painted.grain import grain
from trainer.painted.hole import hole
from trainer.painted.missing import missing
from trainer.painted.patch import patch
from trainer.painted.scar import scar
from trainer.painted.scene import Scene
from trainer.painted.scratch import scratch
from trainer.painted.spot import spot
from trainer.painted.texture import texture
from trainer.painted.tint import tint
from trainer.painted.warp import warp

Painter = Callable[[Scene, Wish, np.random.Generator], Change]


class Kind(NamedTuple):
    """A painter, and the least and largest size of its defects in shares of the picture's area.

    `strongest` is the mean contrast above which a defect is made weaker, in shares of white.
    """

    painter: Painter
    least: float
    most: float
    strongest: float = 0.5


# Thin things are small by nature, and a change of light, focus or shape is none below a certain size.
KINDS: Mapping[str, Kind] = {
    "blur": Kind(blur, 0.005, 0.1),
    "doubled": Kind(doubled, 0.003, 0.1),
    "grain": Kind(grain, 0.003, 0.1),
    "hole": Kind(hole, 0.001, 0.03),
    "missing": Kind(missing, 0.003, 0.1),
    "patch": Kind(patch, 0.002, 0.1),
    "scar": Kind(scar, 0.001, 0.02),
    "scratch": Kind(scratch, 0.001, 0.02),
    "spot": Kind(spot, 0.001, 0.1),
    "texture": Kind(texture, 0.002, 0.1),
    "tint": Kind(tint, 0.01, 0.1),
    "warp": Kind(warp, 0.003, 0.1),
}
