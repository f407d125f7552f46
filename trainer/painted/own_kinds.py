"""Kinds of painted defects with the part's own grey levels and edges: nothing but their place or shape is strange.

The kinds of `trainer.painted.kinds` change the light, the texture or the sharpness of a place. Where a part is of few
materials with sharp borders, as a printed board is, real defects are of the same materials, and those kinds are easily
seen for what they are. These are CutPaste (Li et al., CVPR 2021) without its change of colour, and one material in
place of another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.doubled import doubled
from trainer.painted.kinds import Kind
from trainer.painted.scar import scar
from trainer.painted.scene import Scene
from trainer.painted.swapped import swapped


def strip(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """A scar that keeps the light of the place it comes from."""
    return scar(scene, wish._replace(contrast=0.0), random)


OWN_KINDS: Mapping[str, Kind] = {
    "pasted": Kind(doubled, 0.002, 0.03, strongest=1.0),
    "strip": Kind(strip, 0.002, 0.03, strongest=1.0),
    "swapped": Kind(swapped, 0.001, 0.03, strongest=1.0),
}
