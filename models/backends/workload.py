"""Says what a source will be used for, so that the backends that could run it are measured at that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NOISE_PIXELS = 128  # a side of the picture that stands in where there are none


@dataclass(frozen=True)
class Workload:
    """The taps that heads ask for (None: all of them) and pictures as the source is given them, (3, S, S) float32.

    `pictures` is called only where several backends have to be measured.
    """

    taps: Collection[str] | None = None
    pictures: Callable[[], Sequence[npt.NDArray[np.float32]]] | None = None

    def images(self) -> Tensor:
        """(n, 3, S, S) float32; seeded noise where there are no pictures."""
        if self.pictures is not None:
            return torch.from_numpy(np.stack(self.pictures()))
        return torch.rand(1, 3, NOISE_PIXELS, NOISE_PIXELS, generator=torch.Generator().manual_seed(0))
