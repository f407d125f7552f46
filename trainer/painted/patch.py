"""A rectangle of the picture pasted at another place, a little lighter or darker: CutPaste (Li et al., CVPR 2021)."""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.scene import Scene
from trainer.painted.shapes import elsewhere, rectangle, signed

JITTER = (0.3, 1.0)  # shares of the wished contrast by which the pasted piece is lighter or darker


def patch(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter."""
    box = rectangle(scene, wish.area, float(np.exp(random.uniform(np.log(0.33), np.log(3.0)))), random)
    pasted = scene.window(elsewhere(scene, box, random))
    if random.random() < 0.5:
        pasted = pasted[:, ::-1]
    jitter = signed(float(pasted.mean()), wish.contrast * random.uniform(*JITTER), random)
    return Change(box, pasted + jitter * scene.colour(random))
