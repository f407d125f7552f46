"""A training batch in, the MKD loss out; at the end, the finished head with its weights set as the recipe says.

loss = mean over the batch of  sum over taps of  val + lambda * dir          Eq. 4
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from models.heads.base import Batch, Trainee
from models.heads.mkd.cloner import Cloner, fold_batchnorm
from models.heads.mkd.config import MkdConfig, MkdForm
from models.heads.mkd.discrepancy import discrepancy_terms, location_errors, relative_errors, weighted_sum
from models.heads.mkd.head import MkdHead
from models.heads.parts.whitening import Moments, TapName, Whitening, contrast_errors, windows
from models.sources.registry import Activations

LEVEL_FLOOR = 0.1  # of the tap's mean error
SMALLEST_TERM = 1e-12
LEAST_SPREAD = 0.02  # of a view's mean: held-out parts that are all alike must not make it shout
Loss = Literal["total", "val", "dir"]
Balance = Literal["sum", "terms"]
StepPrecision = Literal["float32", "bfloat16"]


class MkdRecipe(MkdForm):
    """What a person may choose of the method; every field stands in the artifact.

    `lambda_dir` weighs dir against val in the loss and in a plain sum: "auto" is the paper's ratio of their values on
    the untrained cloner. `scale_taps` divides each tap of the source by its RMS over the training images.
    `score_balance` and `map_balance` are how taps and terms add up: "sum" is Eq. 4 as printed, "terms" divides each by
    its mean over the training images first, so that all speak equally loud on good parts.

    `TRAINED_BY` names what decides the trained weights; all other fields decide how the finished head judges.
    """

    TRAINED_BY: ClassVar[frozenset[str]] = frozenset(
        {"cloner", "cloner_input", "taps", "batchnorm", "loss", "lambda_dir", "scale_taps"}
    )

    batchnorm: bool = True
    score_taps: tuple[TapName, ...] = ()
    map_taps: tuple[TapName, ...] = ()
    loss: Loss = "total"
    score_loss: Loss = "total"
    map_loss: Loss = "total"
    lambda_dir: Literal["auto"] | float = "auto"
    scale_taps: bool = True
    score_balance: Balance = "sum"
    map_balance: Balance = "sum"

    @model_validator(mode="after")
    def _taps_are_trained(self) -> Self:
        for name, loss in (("score", self.score_loss), ("map", self.map_loss)):
            strange = set(getattr(self, f"{name}_taps")) - set(self.taps)
            if strange:
                raise ValueError(f"{name}_taps {', '.join(sorted(strange))} are not among the trained taps")
            if self.loss not in {"total", loss}:
                raise ValueError(f"{name}_loss {loss} needs a term that loss {self.loss} does not train")
        return self

    def mask(self, taps: Sequence[str], loss: Loss) -> Tensor:
        """(taps, 2) of ones and zeros: which tap-and-term is spoken of. No taps given means all that are trained."""
        chosen = torch.tensor([[tap in (taps or self.taps)] for tap in self.taps], dtype=torch.float32)
        terms = torch.tensor([[loss in {"total", "val"}, loss in {"total", "dir"}]], dtype=torch.float32)
        return chosen * terms


class MkdTrainee(Trainee):
    """A cloner in training. `tap_rms` are the source's activations' RMS over the training images, by tap.

    With `step_precision` "bfloat16" the cloner's convolutions multiply in bfloat16 while training; weights, loss and
    the finished head stay float32.
    """

    def __init__(self, recipe: MkdRecipe, tap_rms: dict[str, float], step_precision: StepPrecision = "float32") -> None:
        super().__init__()
        self.recipe = recipe
        self._half_steps = step_precision == "bfloat16"
        self.tap_scales = [tap_rms[tap] if recipe.scale_taps else 1.0 for tap in recipe.taps]
        self.cloner = Cloner(
            recipe.cloner, recipe.taps, batchnorm=recipe.batchnorm, input_range=recipe.cloner_input
        ).to(memory_format=torch.channels_last)
        self.lambda_dir = nn.Buffer(torch.tensor(0.0 if recipe.lambda_dir == "auto" else float(recipe.lambda_dir)))

    @torch.no_grad()
    def measure_lambda(self, images: Tensor, activations: Activations) -> None:
        """Sets lambda as in the paper, on one batch and the untrained cloner, unless the recipe gives a number."""
        if self.recipe.lambda_dir == "auto":
            mean = self._terms(images, activations).mean(dim=0).sum(dim=0)
            self.lambda_dir.copy_(mean[0] / mean[1])

    def training_loss(self, images: Tensor, activations: Activations) -> Tensor:
        """See Trainee; Eq. 4 with all trained taps."""
        weights = self.recipe.mask((), self.recipe.loss).to(images.device) * self._plain_weights()
        return weighted_sum(self._terms(images, activations), weights).mean()

    def finish(self, batches: Iterable[Batch], held_out: Iterable[Batch]) -> MkdHead:
        """See Trainee. Either is looked at only where the recipe needs it, once."""
        recipe = self.recipe
        cloner = fold_batchnorm(self.cloner).to(memory_format=torch.contiguous_format)
        score, blame, levels = self._plain_weights(), self._plain_weights(), []
        usual, whitening = self._look(cloner, batches)
        if usual is not None:
            levels = usual.levels
            score = 1 / usual.score_terms if recipe.score_balance == "terms" else score
            blame = 1 / usual.plain_terms if recipe.map_balance == "terms" else blame
        score = score * recipe.mask(recipe.score_taps, recipe.score_loss).to(self.device)
        blame = blame**recipe.map_power * recipe.mask(recipe.map_taps, recipe.map_loss).to(self.device)
        config = MkdConfig(
            **recipe.model_dump(include=set(MkdForm.model_fields)),
            tap_scales=tuple(self.tap_scales),
            score_weights=_pairs(score),
            map_weights=_pairs(blame),
            view_scales=(1.0,) * len(recipe.score_views),
        )
        head = MkdHead(config, cloner, levels, whitening)
        if not recipe.score_views:
            return head
        scales = _spreads(head.to(self.device), held_out)
        return MkdHead(config.model_copy(update={"view_scales": scales}), cloner, levels, whitening)

    def _look(self, cloner: Cloner, batches: Iterable[Batch]) -> tuple[Usual | None, Whitening | None]:
        """What the recipe needs to know of the training images, from one look at them."""
        recipe = self.recipe
        balanced = recipe.score_levels or "terms" in {recipe.score_balance, recipe.map_balance}
        moments = {view: Moments() for view in recipe.views}

        def both() -> Iterator[tuple[list[Tensor], list[Tensor]]]:
            for source, cloned in self._both(cloner, batches):
                for view, moment in moments.items():
                    tap = recipe.taps.index(view.tap)
                    moment.add(windows(contrast_errors(source[tap], cloned[tap]), view.window))
                yield source, cloned

        usual = Usual.over(recipe, both()) if balanced else None
        if not moments:
            return usual, None
        if not balanced:
            for _ in both():
                pass
        tensors = {}
        for view, moment in moments.items():
            tensors[f"{view.key}.mean"], tensors[f"{view.key}.matrix"] = moment.whitening()
        return usual, Whitening(recipe.views, tensors)

    @property
    def device(self) -> torch.device:
        """Where the trainee is."""
        return self.lambda_dir.device

    def _plain_weights(self) -> Tensor:
        """(taps, 2): 1 for val, lambda for dir."""
        return torch.stack((torch.ones_like(self.lambda_dir), self.lambda_dir)).repeat(len(self.recipe.taps), 1)

    def _terms(self, images: Tensor, activations: Activations) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._half_steps):
            cloned = self.cloner(images)
        return discrepancy_terms(self._scaled(activations), [tensor.float() for tensor in cloned])

    def _scaled(self, activations: Activations) -> list[Tensor]:
        return [activations[tap] / scale for tap, scale in zip(self.recipe.taps, self.tap_scales, strict=True)]

    @torch.no_grad()
    def _both(self, cloner: Cloner, batches: Iterable[Batch]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        for images, activations in batches:
            yield self._scaled(activations), cloner(images)


@dataclass(frozen=True)
class Usual:
    """What is usual on the training images: `levels` (h, w) per tap, and the means (taps, 2) of the terms."""

    levels: list[Tensor]
    score_terms: Tensor
    plain_terms: Tensor

    @classmethod
    @torch.no_grad()
    def over(cls, recipe: MkdRecipe, both: Iterable[tuple[list[Tensor], list[Tensor]]]) -> Self:
        """Looks at every training image once, as (source, cloner) activations in batches."""
        errors: list[list[Tensor]] = []  # kept by image: some thousand numbers each
        plain: list[Tensor] = []
        take = relative_errors if recipe.score_relative else location_errors
        for source, cloned in both:
            errors.append([take(a_s, a_c) for a_s, a_c in zip(source, cloned, strict=True)])
            plain.append(discrepancy_terms(source, cloned))
        if not plain:
            raise ValueError("a head cannot be finished without training images")
        plain_terms = torch.cat(plain).mean(dim=0).clamp_min(SMALLEST_TERM)
        by_tap = [torch.cat(parts) for parts in zip(*errors, strict=True)]
        levels = [_level(tap) for tap in by_tap] if recipe.score_levels else []
        standard = [tap / level for tap, level in zip(by_tap, levels, strict=True)] if levels else by_tap
        val = [tap.pow(recipe.score_power).mean(dim=(1, 2)).pow(1 / recipe.score_power).mean() for tap in standard]
        score_terms = torch.stack((torch.stack(val), plain_terms[:, 1]), dim=1).clamp_min(SMALLEST_TERM)
        return cls(levels, score_terms, plain_terms)


def _level(errors: Tensor) -> Tensor:
    """(n, h, w) -> (h, w): the mean by location, with a floor so that a place that is never wrong cannot shout."""
    mean = errors.mean(dim=0)
    return mean + LEVEL_FLOOR * mean.mean() + SMALLEST_TERM


def _spreads(head: MkdHead, held_out: Iterable[Batch]) -> tuple[float, ...]:
    """The standard deviation of each score view over held-out good images: the yardstick for what is unusual."""
    terms = torch.cat([head.view_terms(images, activations) for images, activations in held_out]).double()
    spread = terms.std(dim=0, correction=0).maximum(LEAST_SPREAD * terms.mean(dim=0)).clamp_min(SMALLEST_TERM)
    return tuple(spread.tolist())


def _pairs(weights: Tensor) -> tuple[tuple[float, float], ...]:
    return tuple((float(val), float(direction)) for val, direction in weights.tolist())
