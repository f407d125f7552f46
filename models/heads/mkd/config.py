"""What a person may choose of the method in, one checked schema out: a recipe for training, a record of the head."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.heads.mkd.cloner import ClonerInput, ClonerSize
from models.heads.parts.whitening import TapName, View

Attribution = Literal["gradients", "smoothgrad", "guided", "discrepancy"]


class MkdForm(BaseModel):
    """What recipe and finished head have in common.

    `score_power`, `score_relative`, `score_levels` and `map_power` say how the errors by location are taken
    (`models.heads.mkd.discrepancy`). `score_views` and `map_views` replace them by distances
    (`models.heads.parts.whitening`), of which
    `score_power` and `map_power` are taken; `map_log` sums their logarithms in a forward-only map. The smoothgrad
    fields are of that attribution alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloner: ClonerSize = "small"
    cloner_input: ClonerInput = "centred"
    taps: tuple[TapName, ...] = Field(default=("pool2", "pool3", "pool4", "pool5"), min_length=1)
    score_power: float = Field(default=1.0, ge=1, le=8)
    score_relative: bool = False
    score_levels: bool = False
    score_views: tuple[View, ...] = ()
    map_power: float = Field(default=1.0, ge=1, le=4)
    map_views: tuple[View, ...] = ()
    map_log: bool = False
    attribution: Attribution = "gradients"
    gaussian: bool = True
    smoothgrad_samples: int = Field(default=8, ge=1, le=64)
    smoothgrad_noise: float = Field(default=0.05, gt=0, le=1)

    @model_validator(mode="after")
    def _views_see_trained_taps(self) -> Self:
        strange = {view.tap for view in self.views} - set(self.taps)
        if strange:
            raise ValueError(f"a view of {', '.join(sorted(strange))} needs that tap to be trained")
        return self

    @property
    def views(self) -> tuple[View, ...]:
        """Every view of score or map, once."""
        return tuple(dict.fromkeys((*self.score_views, *self.map_views)))


class MkdConfig(MkdForm):
    """Everything that a trained MKD head needs beside its tensors; stands in the manifest as it is.

    `tap_scales` divide the source's activations. `score_weights` and `map_weights` are (val, dir) for each tap. With
    `score_levels` the head's tensors hold one `levels.TAP` (h, w) per tap, with views `whitening.VIEW.*`.
    `view_scales` divide the score's views.
    """

    tap_scales: tuple[float, ...]
    score_weights: tuple[tuple[float, float], ...]
    map_weights: tuple[tuple[float, float], ...]
    view_scales: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _one_number_per_tap(self) -> Self:
        for name in ("tap_scales", "score_weights", "map_weights"):
            if len(getattr(self, name)) != len(self.taps):
                raise ValueError(f"{name} needs one entry for each of the {len(self.taps)} taps")
        if len(self.view_scales) != len(self.score_views):
            raise ValueError(f"view_scales needs one entry for each of the {len(self.score_views)} score views")
        if min((*self.tap_scales, *self.view_scales)) <= 0:
            raise ValueError("tap_scales and view_scales must be positive")
        return self
