"""Measures how unusual the cloner's errors are: Mahalanobis distances of both networks' activations, by window.

The plain error of Eq. 1 adds up squared channels as if each were as loud and as free as the next. But neurons move
together, and what the cloner gets wrong on every good part says nothing of a defect. So here an error is measured by
what is usual for it:

    r(x, y) = (a_s - a_c) / sqrt(mean_c a_s(x, y)^2 + mean a_s^2)   without the contrast of place and picture
    v       = mean of r over a window                               a window is a share of the picture's side
    d       = (v - m)^T C^-1 (v - m) / channels                     m, C: mean and covariance of v on training images

d is 1 on average over the training images, whatever tap and window. C is shrunk towards a multiple of the identity
(Ledoit and Wolf, 2004), so that a few images are enough. A window of 0 is a single place, of 100 the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_ENERGY = 1e-6


class View(BaseModel):
    """One tap seen through windows of `window` per cent of the picture's side; as a text pool4:25."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tap: str
    window: int = Field(ge=0, le=100)

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        tap, colon, window = value.partition(":")
        if not (tap and colon and window.isdecimal()):
            raise ValueError(f"a view is TAP:WINDOW with a window of 0 to 100 per cent, like pool4:25, not {value!r}")
        return {"tap": tap, "window": window}

    def __str__(self) -> str:
        return f"{self.tap}:{self.window}"

    @property
    def key(self) -> str:
        """The view's name in the artifact's tensors."""
        return f"{self.tap}_{self.window}"


def contrast_errors(source: Tensor, cloner: Tensor) -> Tensor:
    """r of the module's text: two (B, C, h, w) -> (B, C, h, w)."""
    places = source.square().mean(dim=1, keepdim=True)
    picture = places.mean(dim=(2, 3), keepdim=True)
    return (source - cloner) / (places + picture).clamp_min(SMALLEST_ENERGY).sqrt()


def windows(errors: Tensor, window: int) -> Tensor:
    """(B, C, h, w) -> the mean over each window, (B, h', w', C); windows overlap by half."""
    side, step = window_grid(window, min(errors.shape[-2:]))
    pooled = errors if side == 1 else functional.avg_pool2d(errors, side, step)
    return pooled.permute(0, 2, 3, 1)


def window_grid(window: int, places: int) -> tuple[int, int]:
    """A window's side, and how far apart windows are, in places of a tap that has `places` to a side."""
    side = max(1, round(window * places / 100))
    return side, max(1, side // 2)


def errors_of(
    views: Sequence[View], taps: Sequence[str], source: Sequence[Tensor], cloner: Sequence[Tensor]
) -> dict[str, Tensor]:
    """r at each tap that a view looks at; `taps` name the entries of the other two."""
    seen = {view.tap for view in views}
    return {tap: contrast_errors(a_s, a_c) for tap, a_s, a_c in zip(taps, source, cloner, strict=True) if tap in seen}


class Whitening(nn.Module):
    """`mean` (C,) and `matrix` (C, C) for each view: d = |(v - mean) matrix|^2 / C. Kept in half precision."""

    def __init__(self, views: Sequence[View], tensors: Mapping[str, Tensor]) -> None:
        """`tensors` holds KEY.mean and KEY.matrix for each view and nothing else; raises ValueError if not."""
        super().__init__()
        self.keys = tuple(dict.fromkeys(view.key for view in views))
        wanted = {f"{key}.{part}" for key in self.keys for part in ("mean", "matrix")}
        if set(tensors) != wanted:
            raise ValueError(f"the whitening of {', '.join(self.keys) or 'no view'} is expected, and nothing else")
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor, persistent=False)

    def tensors(self) -> dict[str, Tensor]:
        """What the constructor takes."""
        parts = ((key, part) for key in self.keys for part in ("mean", "matrix"))
        return {f"{key}.{part}": self.get_buffer(f"{key}_{part}") for key, part in parts}

    def distances(
        self, views: Sequence[View], taps: Sequence[str], source: Sequence[Tensor], cloner: Sequence[Tensor]
    ) -> list[Tensor]:
        """d by window, one (B, h', w') for each view; `taps` name the entries of the other two."""
        errors = errors_of(views, taps, source, cloner)
        return [self.distance(view, errors[view.tap]) for view in views]

    def distance(self, view: View, errors: Tensor) -> Tensor:
        """r of the view's tap, (B, C, h, w) -> d by window (B, h', w')."""
        seen = windows(errors, view.window)
        matrix = self.get_buffer(f"{view.key}_matrix").to(seen.dtype)
        return ((seen - self.mean(view).to(seen.dtype)) @ matrix).square().mean(dim=-1)

    def mean(self, view: View) -> Tensor:
        """m of the view, (C,)."""
        return self.get_buffer(f"{view.key}_mean")


def peak_mean(values: Tensor, power: float) -> Tensor:
    """(B, ...) -> (B,): the power mean over all but the first axis, between mean and maximum; never overflows."""
    flat = values.flatten(1)
    top = flat.amax(dim=1).clamp_min(torch.finfo(flat.dtype).tiny)
    return top * (flat / top[:, None]).pow(power).mean(dim=1).pow(1 / power)


def distance_map(
    distances: Mapping[View, Tensor], places: Mapping[str, int], size: int, *, log: bool = False
) -> Tensor:
    """Forward-only map: the distances of every view, brought to the picture's pixels and summed. -> (B, size, size).

    `places` says how many places a tap has to a side.

    With `log` log(1 + d) is summed: what is unusual by itself and in its neighbourhood stands out, and a place that is
    very unusual does not light its surroundings when the map is smoothed.
    """
    total = None
    for view, values in distances.items():
        spread = _spread(view.window, places[view.tap], values.shape[-1], size).to(values)
        full = spread @ (values.log1p() if log else values) @ spread.T
        total = full if total is None else total + full
    if total is None:
        raise ValueError("a map needs at least one view")
    return total


def _spread(window: int, places: int, count: int, size: int) -> Tensor:
    """(size, count): linear interpolation from the centres of `count` windows to the centres of `size` pixels.

    Not functional.interpolate: windows overlap, so the outermost centres lie half a window from the picture's edge.
    """
    side, step = window_grid(window, places)
    wanted = (torch.arange(size) + 0.5) * (places / size)
    at = ((wanted - side / 2) / step).clamp(0, count - 1)
    return (1 - (at[:, None] - torch.arange(count)).abs()).clamp_min(0)
