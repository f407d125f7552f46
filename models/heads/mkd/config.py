"""The settings of MKD: what a person may choose (`MkdConfig`), and what a finished head is (`MkdRecord`).

A recipe is a named set of settings; any of them can be changed on top of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from models.backends.processor import has_fast_bfloat16
from models.heads.base import MethodConfig
from models.heads.mkd.cloner import ClonerInput, ClonerSize
from models.heads.mkd.half_size import half_of
from models.heads.mkd.views import View
from models.heads.parts.loop_settings import LoopSettings
from models.heads.parts.maps import SigmaRule

Attribution = Literal["gradients", "smoothgrad", "guided", "discrepancy", "shares"]
Loss = Literal["total", "val", "dir"]
Balance = Literal["sum", "terms"]
StepPrecision = Literal["float32", "bfloat16"]
ViewSum = Literal["powers", "logs"]
RecipeName = Literal["default", "paper", "reference"]
WHOLE = 100  # per cent: the window that is the whole picture
DEFAULT_TAPS = ("pool2", "pool3", "pool4", "pool5")  # the paper's
DEFAULT_VIEWS = ("pool3:12:place", "pool3:6:place", "pool4:12:place", "pool4:25")

# The paper's equations, and its reference code where the two disagree (design notes in docs/method.md).
RECIPES: Mapping[RecipeName, Mapping[str, object]] = {
    # Errors by how unusual they are at their place, at two depths and through windows of two sizes, and what is unusual
    # anywhere beside them, for parts that do not lie still and for few pictures. The map is of the same views as the
    # score. docs/results.md says how these were chosen, and what had been seen by then.
    "default": {
        "steps": 500,
        "taps": ("pool2", "pool3", "pool4"),
        "score_views": DEFAULT_VIEWS,
        "score_power": 8.0,
        "view_sum": "logs",
        "map_views": DEFAULT_VIEWS,
        "map_log": True,
        "attribution": "shares",
        "map_sharpness": 0.0625,
        "map_sigma": "window",
        # The pixels' gradient: of squared errors at three taps, each by its mean on good images.
        "map_loss": "val",
        "map_power": 2.0,
        "map_balance": "terms",
    },
    "paper": {},
    "reference": {
        "lambda_dir": 2.0,  # its loss is dir + 0.5 val
        "score_taps": ("pool3", "pool4", "pool5"),
        "map_taps": ("pool3", "pool4", "pool5"),
        "cloner_input": "unit",
    },
}


class MkdForm(BaseModel):
    """What recipe and finished head have in common.

    `score_power`, `score_relative`, `score_levels` and `map_power` say how the errors by location are taken
    (`models.heads.mkd.discrepancy`). `score_views` and `map_views` replace them by distances
    (`models.heads.mkd.views`), of which `score_power` and `map_power` are taken; `view_sum` is how the score's views
    add up (`models.heads.mkd.head`); `map_log` sums their logarithms in a map. `map_whole` and
    `map_sharpness` are of the attribution "shares", the smoothgrad fields of "smoothgrad" alone. `map_sigma` is how far
    the map's Gaussian reaches, in pixels of the input: "input" grows with its side, "window" no further than half the
    width of the finest view's window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloner: ClonerSize = "small"
    cloner_input: ClonerInput = "centred"
    taps: tuple[str, ...] = Field(default=DEFAULT_TAPS, min_length=1)
    score_power: float = Field(default=1.0, ge=1, le=8)
    score_relative: bool = False
    score_levels: bool = False
    score_views: tuple[View, ...] = ()
    view_sum: ViewSum = "powers"
    map_power: float = Field(default=1.0, ge=1, le=4)
    map_views: tuple[View, ...] = ()
    map_log: bool = False
    map_whole: float = Field(default=0.0, ge=0, le=10)
    map_sharpness: float = Field(default=0.0, ge=0, le=1)
    attribution: Attribution = "gradients"
    gaussian: bool = True
    map_sigma: SigmaRule = "input"
    smoothgrad_samples: int = Field(default=8, ge=1, le=64)
    smoothgrad_noise: float = Field(default=0.05, gt=0, le=1)

    @model_validator(mode="after")
    def _views_see_trained_taps(self) -> Self:
        strange = {view.source_tap for view in self.views} - set(self.taps)
        if strange:
            raise ValueError(f"a view of {', '.join(sorted(strange))} needs that tap to be trained")
        return self

    @property
    def share_weights(self) -> dict[View, float]:
        """The views whose distances a map of shares gives back to their places, with their weights."""
        found = dict.fromkeys(self.map_views, 1.0)
        whole = {view: self.map_whole for view in self.score_views if view.window == WHOLE and self.map_whole > 0}
        return {**whole, **found}

    @property
    def views(self) -> tuple[View, ...]:
        """Every view of score or map, once."""
        return tuple(dict.fromkeys((*self.score_views, *self.map_views)))

    @property
    def half_taps(self) -> tuple[str, ...]:
        """The taps of the picture at half its size that a view looks at, in the order of `taps`."""
        seen = {view.tap for view in self.views}
        return tuple(half for tap in self.taps if (half := half_of(tap)) in seen)


class MkdRecord(MkdForm):
    """Everything that a trained MKD head needs beside its tensors; stands in the manifest as it is.

    `source` names the source whose taps the cloner imitates. `tap_scales` divide the source's activations.
    `score_weights` and `map_weights` are (val, dir) for each tap. With `score_levels` the head's tensors hold one
    `levels.TAP` (h, w) per tap, with views `whitening.VIEW.*`. `view_scales` divide the score's views.
    """

    source: str = "vgg16"
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


class MkdConfig(MethodConfig, MkdForm, LoopSettings):
    """What a person may choose of the method; every field stands in the artifact.

    `recipe` gives the other settings their values where they are not set themselves. `lambda_dir` weighs dir against
    val in the loss and in a plain sum: "auto" is the paper's ratio of their values on the untrained cloner.
    `scale_taps` divides each tap of the source by its RMS over the training images. `score_balance` and `map_balance`
    are how taps and terms add up: "sum" is Eq. 4 as printed, "terms" divides each by its mean over the training images
    first, so that all speak equally loud on good parts. `cloner` "none" trains nothing and answers zero, which shows
    what a trained one adds. `two_sizes` takes every view of the recipe at half the picture's size as well, for the
    coarse defects that a large input loses. `step_precision` is that of the cloner's convolutions while
    training, bfloat16 by default where the processor has AMX.
    """

    # What decides the trained weights; all other fields decide how the finished head judges.
    TRAINED_BY: ClassVar[frozenset[str]] = frozenset(
        {"cloner", "cloner_input", "taps", "batchnorm", "loss", "lambda_dir", "scale_taps", "step_precision"}
    )

    method: Literal["mkd"] = "mkd"
    recipe: RecipeName = "default"
    two_sizes: bool = False
    batchnorm: bool = True
    score_taps: tuple[str, ...] = ()
    map_taps: tuple[str, ...] = ()
    loss: Loss = "total"
    score_loss: Loss = "total"
    map_loss: Loss = "total"
    lambda_dir: Literal["auto"] | float = "auto"
    scale_taps: bool = True
    score_balance: Balance = "sum"
    map_balance: Balance = "sum"
    step_precision: StepPrecision = Field(default_factory=lambda: "bfloat16" if has_fast_bfloat16() else "float32")

    @model_validator(mode="before")
    @classmethod
    def _take_recipe(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        chosen = RECIPES.get(values.get("recipe", "default"), {})
        return {**{name: value for name, value in chosen.items() if name not in values}, **values}

    @model_validator(mode="after")
    def _see_both_sizes(self) -> Self:
        if not self.two_sizes:
            return self
        if not self.views:
            raise ValueError("two_sizes adds views at half the picture's size, and there is no view")
        for name in ("score_views", "map_views"):
            views = getattr(self, name)  # of settings that are read again the halves are among them
            object.__setattr__(self, name, tuple(dict.fromkeys((*views, *(view.at_half_size for view in views)))))
        return self

    @model_validator(mode="after")
    def _taps_are_trained(self) -> Self:
        for name, loss in (("score", self.score_loss), ("map", self.map_loss)):
            strange = set(getattr(self, f"{name}_taps")) - set(self.taps)
            if strange:
                raise ValueError(f"{name}_taps {', '.join(sorted(strange))} are not among the trained taps")
            if self.loss not in {"total", loss}:
                raise ValueError(f"{name}_loss {loss} needs a term that loss {self.loss} does not train")
        if self.cloner == "none" and self.attribution not in {"discrepancy", "shares"}:
            raise ValueError("without a cloner nothing can be propagated back: attribution is discrepancy or shares")
        if self.attribution == "shares" and not self.map_views:
            raise ValueError("attribution shares explains distances: give map_views, or another attribution")
        if isinstance(self.lambda_dir, float) and not 0 <= self.lambda_dir < float("inf"):
            raise ValueError(f"lambda_dir is auto or a number from 0 up, not {self.lambda_dir}")
        return self

    def mask(self, taps: Sequence[str], loss: Loss) -> Tensor:
        """(taps, 2) of ones and zeros: which tap-and-term is spoken of. No taps given means all that are trained."""
        chosen = torch.tensor([[tap in (taps or self.taps)] for tap in self.taps], dtype=torch.float32)
        terms = torch.tensor([[loss in {"total", "val"}, loss in {"total", "dir"}]], dtype=torch.float32)
        return chosen * terms

    @property
    def fingerprint(self) -> str:
        """The settings that decide the trained weights, beside those of the loop."""
        deciding = self.model_dump(mode="json", include=set(self.TRAINED_BY))
        return json.dumps(deciding | ({"sizes": 2} if self.half_taps else {}), sort_keys=True)
