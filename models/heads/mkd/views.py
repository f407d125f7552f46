"""Measures how unusual the cloner's errors are: Mahalanobis distances of both networks' activations, by window.

The plain error of Eq. 1 adds up squared channels as if each were as loud and as free as the next. But neurons move
together, and what the cloner gets wrong on every good part says nothing of a defect. So here an error is measured by
what is usual for it:

    r(x, y) = (a_s - a_c) / sqrt(mean_c a_s(x, y)^2 + mean a_s^2)   without the contrast of place and picture
    v       = mean of r over a window                               a window is a share of the picture's side
    d       = (v - m)^T C^-1 (v - m) / channels                     m, C: mean and covariance of v on training images

d is 1 on average over the training images, whatever tap and window. C is shrunk towards a multiple of the identity
(Ledoit and Wolf, 2004), so that a few images are enough. A window of 0 is a single place, of 100 the whole picture.

A view by place has m(x, y) and a C for each window, of v projected to a few channels (Defard et al., 2020, read off
errors): what is usual elsewhere is not usual here. How much C is the place's own: `models.heads.parts.place_gaussians`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from models.heads.mkd.half_size import HALF, half_of, source_tap
from models.heads.parts.place_distances import place_distances

SMALLEST_ENERGY = 1e-6
DIMENSIONS = 128  # to which a view by place projects the channels
BY_PLACE = "place"


class View(BaseModel):
    """One tap seen through windows of `window` per cent of the picture's side; as a text pool4:25, or pool4:25:place.

    With `by_place` an error is measured by what is usual at its place, not by what is usual anywhere. A tap pool4/2 is
    that of the picture at half its size (models.heads.mkd.half_size).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tap: str
    window: int = Field(ge=0, le=100)
    by_place: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        tap, _, rest = value.partition(":")
        window, colon, place = rest.partition(":")
        if not (tap and window.isdecimal() and place == (BY_PLACE if colon else "")):
            raise ValueError(
                "a view is TAP:WINDOW or TAP:WINDOW:place with a window of 0 to 100 per cent, like pool4:25, "
                f"not {value!r}"
            )
        return {"tap": tap, "window": window, "by_place": bool(colon)}

    def __str__(self) -> str:
        return ":".join((self.tap, str(self.window), *([BY_PLACE] if self.by_place else [])))

    @property
    def source_tap(self) -> str:
        """The source's tap, at either size of the picture."""
        return source_tap(self.tap)

    @property
    def at_half_size(self) -> View:
        """The same view of the picture at half its size; itself, where it is one."""
        return self.model_copy(update={"tap": half_of(self.source_tap)})

    @property
    def key(self) -> str:
        """The view's name in the artifact's tensors."""
        return str(self).replace(":", "_").replace(HALF, "_half")

    @property
    def parts(self) -> tuple[str, ...]:
        """What the artifact's tensors hold of it."""
        return ("mean", "projection", "matrix") if self.by_place else ("mean", "matrix")


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
    """What is usual for each view, in half precision.

    `mean` (C,) and `matrix` (C, C):                    d = |(v - mean) matrix|^2 / C
    by place, for P windows and h times w places,
    `mean` (h, w, C), `projection` (C, D) and `matrix` (P, D, D):
                                                        d = |mean over the window of (r - mean) projection matrix|^2 / D
    """

    def __init__(self, views: Sequence[View], tensors: Mapping[str, Tensor]) -> None:
        """`tensors` holds KEY.PART for each view and nothing else; raises ValueError if not."""
        super().__init__()
        self.views = tuple(dict.fromkeys(views))
        if set(tensors) != {name for name, _ in self._names()}:
            words = ", ".join(str(view) for view in self.views) or "no view"
            raise ValueError(f"the whitening of {words} is expected, and nothing else")
        for name, buffer in self._names():
            self.register_buffer(buffer, tensors[name], persistent=False)

    def tensors(self) -> dict[str, Tensor]:
        """What the constructor takes."""
        return {name: self.get_buffer(buffer) for name, buffer in self._names()}

    def _names(self) -> list[tuple[str, str]]:
        return [(f"{view.key}.{part}", f"{view.key}_{part}") for view in self.views for part in view.parts]

    def distances(
        self, views: Sequence[View], taps: Sequence[str], source: Sequence[Tensor], cloner: Sequence[Tensor]
    ) -> list[Tensor]:
        """d by window, one (B, h', w') for each view; `taps` name the entries of the other two."""
        errors = errors_of(views, taps, source, cloner)
        return [self.distance(view, errors[view.tap]) for view in views]

    def distance(self, view: View, errors: Tensor) -> Tensor:
        """r of the view's tap, (B, C, h, w) -> d by window (B, h', w')."""
        return self.measured(view, self.reduced(view, errors))

    def reduced(self, view: View, errors: Tensor) -> Tensor:
        """r of the view's tap, (B, C, h, w) -> r less its mean, by place projected, (B, h, w, C or D).

        Its mean over a window is v - m: projecting and adding up may change places.
        """
        centred = errors.permute(0, 2, 3, 1) - self._part(view, "mean", errors)
        return _times(centred, self._part(view, "projection", errors)) if view.by_place else centred

    def measured(self, view: View, reduced: Tensor) -> Tensor:
        """What `reduced` gives -> d by window (B, h', w')."""
        seen = windows(reduced.permute(0, 3, 1, 2), view.window)
        if view.by_place:
            matrices = self.get_buffer(f"{view.key}_matrix")
            return place_distances(seen.flatten(1, 2), matrices).reshape(seen.shape[:3])
        return _times(seen, self._part(view, "matrix", seen)).square().mean(dim=-1)

    def _part(self, view: View, part: str, like: Tensor) -> Tensor:
        return self.get_buffer(f"{view.key}_{part}").to(like.dtype)


def _times(vectors: Tensor, matrix: Tensor) -> Tensor:
    """(..., C) and (C, D) -> (..., D), as one product: of vectors in another order torch makes one for each row."""
    return (vectors.reshape(-1, vectors.shape[-1]) @ matrix).view(*vectors.shape[:-1], -1)


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
