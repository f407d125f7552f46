"""What is asked of a painter, and what it gives back."""

from __future__ import annotations

from typing import NamedTuple

from trainer.painted.scene import Box, Picture


class Wish(NamedTuple):
    """A defect of `area` pixels. `contrast`, in shares of white, binds painters whose change has a strength to set."""

    area: float
    contrast: float


class Change(NamedTuple):
    """The new contents (h, w, 3) of a window of the picture."""

    box: Box
    picture: Picture
