"""Trains the cloner of MKD and finishes the head, its weights set as the configuration says.

loss = mean over the batch of  sum over taps of  val + lambda * dir          Eq. 4
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from models.heads.base import ActivationBatch, Trainable
from models.heads.mkd.cloner import Cloner, NoCloner, fold_batchnorm
from models.heads.mkd.config import MkdConfig, MkdForm, MkdRecord
from models.heads.mkd.discrepancy import discrepancy_terms, location_errors, relative_errors, weighted_sum
from models.heads.mkd.half_size import half_of, halved, source_tap
from models.heads.mkd.head import MkdHead, cloned_at
from models.heads.mkd.usual_errors import UsualErrors
from models.heads.mkd.views import Whitening, errors_of
from models.heads.parts.folds import Fold
from models.sources.registry import Activations, SourceSpec

LEVEL_FLOOR = 0.1  # of the tap's mean error
SMALLEST_TERM = 1e-12
LEAST_SPREAD = 0.02  # of a view's mean: parts that are all alike must not make it shout


class MkdTrainable(Trainable):
    """A cloner in training. `tap_rms` are the source's activations' RMS over the training images, by tap.

    With `step_precision` "bfloat16" the cloner's convolutions multiply in bfloat16 while training; weights, loss and
    the finished head stay float32.
    """

    def __init__(self, config: MkdConfig, tap_rms: dict[str, float], source: SourceSpec) -> None:
        super().__init__()
        self.config = config
        self.source = source
        self.tap_scales = [tap_rms[tap] if config.scale_taps else 1.0 for tap in config.taps]
        self.cloner = (
            NoCloner(config.taps, source)
            if config.cloner == "none"
            else Cloner(
                config.cloner, config.taps, source, batchnorm=config.batchnorm, input_range=config.cloner_input
            ).to(memory_format=torch.channels_last)
        )
        self.own_shares: dict[str, float] = {}  # see UsualErrors, of the last head that was finished
        self.lambda_dir = nn.Buffer(torch.tensor(0.0 if config.lambda_dir == "auto" else float(config.lambda_dir)))

    @property
    def trained(self) -> nn.Module:
        """The cloner."""
        return self.cloner

    @property
    def fingerprint(self) -> str:
        """See Trainable.fingerprint."""
        return self.config.fingerprint

    @torch.no_grad()
    def begin(self, images: Tensor, activations: Activations) -> None:
        """Sets lambda as in the paper, on one batch and the untrained cloner, unless the configuration gives one."""
        if self.config.lambda_dir == "auto":
            mean = self._terms(images, activations).mean(dim=0).sum(dim=0)
            self.lambda_dir.copy_(mean[0] / mean[1])

    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """Eq. 4 with all trained taps, the mean over the batch, and over both sizes where views are of both."""
        weights = self.config.mask((), self.config.loss).to(images.device) * self._plain_weights()
        found = weighted_sum(self._terms(images, activations), weights).mean()
        if not self.config.half_taps:
            return found
        half = {tap: activations[half_of(tap)] for tap in self.config.taps}
        return (found + weighted_sum(self._terms(halved(images), half), weights).mean()) / 2

    def finish(
        self,
        batches: Iterable[ActivationBatch],
        folds: Sequence[Fold] | None = None,
        seed: int = 0,
        picture_numbers: Sequence[int] | None = None,
    ) -> MkdHead:
        """The finished head. `batches` are the training images once more, looked at where the configuration needs it.

        `picture_numbers` are those of the images (GoodParts); None where none is a copy of another.

        The yardsticks of "powers" are of these images too, as calibration images are for counting alone: for each of
        `folds` the distances of `unseen` by the covariances of `seen`. By covariances of their own images would spread
        too little, those of the whole picture least of all. Where `folds` is None they are by their own all the same;
        with no fold in it every view counts as it is.
        """
        config = self.config
        cloner = self.cloner
        if isinstance(cloner, Cloner):
            cloner = fold_batchnorm(cloner).to(memory_format=torch.contiguous_format)
        score, blame, levels = self._plain_weights(), self._plain_weights(), []
        pairs: list[_Pair] = []
        if config.score_views and config.view_sum == "powers":
            batches = list(batches) if folds is None else batches
            pairs = [_Pair(batches, picture_numbers, batches)] if folds is None else [_Pair.of(fold) for fold in folds]
        usual, whitening, self.own_shares = self._look(cloner, batches, seed, picture_numbers)
        if usual is not None:
            levels = usual.levels
            score = 1 / usual.score_terms if config.score_balance == "terms" else score
            blame = 1 / usual.plain_terms if config.map_balance == "terms" else blame
        score = score * config.mask(config.score_taps, config.score_loss).to(self.device)
        blame = blame**config.map_power * config.mask(config.map_taps, config.map_loss).to(self.device)
        record = MkdRecord(
            **config.model_dump(include=set(MkdForm.model_fields)),
            source=self.source.name,
            tap_scales=tuple(self.tap_scales),
            score_weights=_pairs(score),
            map_weights=_pairs(blame),
            view_scales=(1.0,) * len(config.score_views),
        )
        head = MkdHead(record, cloner, levels, whitening)
        if not pairs:
            return head
        terms = []
        for seen, numbers, unseen in pairs:
            trial = MkdHead(record, cloner, levels, self._look(cloner, seen, seed, numbers)[1]).to(self.device)
            terms += [trial.view_terms(images, activations) for images, activations in unseen]
        scales = _spreads(torch.cat(terms).double())
        return MkdHead(record.model_copy(update={"view_scales": scales}), cloner, levels, whitening)

    def _look(
        self,
        cloner: Cloner | NoCloner,
        batches: Iterable[ActivationBatch],
        seed: int,
        picture_numbers: Sequence[int] | None,
    ) -> tuple[Usual | None, Whitening | None, dict[str, float]]:
        """What the configuration needs of the training images, from one look; last, see UsualErrors.own_shares."""
        config = self.config
        balanced = config.score_levels or "terms" in {config.score_balance, config.map_balance}
        usual_errors, taps = UsualErrors(config.views, seed), len(config.taps)

        def both() -> Iterator[tuple[list[Tensor], list[Tensor]]]:
            for source, cloned in self._both(cloner, batches):
                usual_errors.add(errors_of(config.views, (*config.taps, *config.half_taps), source, cloned))
                yield source[:taps], cloned[:taps]

        usual = Usual.over(config, both()) if balanced else None
        if not config.views:
            return usual, None, {}
        if not balanced:
            for _ in both():
                pass
        whitening = usual_errors.whitening(picture_numbers)
        return usual, whitening, usual_errors.own_shares

    @property
    def device(self) -> torch.device:
        """Where the cloner is."""
        return self.lambda_dir.device

    def _plain_weights(self) -> Tensor:
        """(taps, 2): 1 for val, lambda for dir."""
        return torch.stack((torch.ones_like(self.lambda_dir), self.lambda_dir)).repeat(len(self.config.taps), 1)

    def _terms(self, images: Tensor, activations: Activations) -> Tensor:
        lowered = self.config.step_precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=lowered):
            cloned = self.cloner(images)
        return discrepancy_terms(self._scaled(activations, self.config.taps), [tensor.float() for tensor in cloned])

    def _scaled(self, activations: Activations, taps: Sequence[str]) -> list[Tensor]:
        """Taps of either size of the picture, each divided by its source tap's scale."""
        scales = dict(zip(self.config.taps, self.tap_scales, strict=True))
        return [activations[tap] / scales[source_tap(tap)] for tap in taps]

    @torch.no_grad()
    def _both(
        self, cloner: Cloner | NoCloner, batches: Iterable[ActivationBatch]
    ) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Those at half the picture's size stand behind the others."""
        for images, activations in batches:
            yield (
                self._scaled(activations, (*self.config.taps, *self.config.half_taps)),
                cloned_at(cloner, images, self.config.taps, self.config.half_taps),
            )


class _Pair(NamedTuple):
    """Images that are fitted to, with the numbers of their pictures, and others that are judged by that."""

    seen: Iterable[ActivationBatch]
    picture_numbers: Sequence[int] | None
    unseen: Iterable[ActivationBatch]

    @classmethod
    def of(cls, fold: Fold) -> _Pair:
        """Of a fold."""
        return cls(fold.seen.batches(), fold.seen.picture_numbers, fold.unseen.batches())


@dataclass(frozen=True)
class Usual:
    """What is usual on the training images: `levels` (h, w) per tap, and the means (taps, 2) of the terms."""

    levels: list[Tensor]
    score_terms: Tensor
    plain_terms: Tensor

    @classmethod
    @torch.no_grad()
    def over(cls, config: MkdConfig, both: Iterable[tuple[list[Tensor], list[Tensor]]]) -> Self:
        """Looks at every training image once, as (source, cloner) activations in batches."""
        errors: list[list[Tensor]] = []  # kept by image: some thousand numbers each
        plain: list[Tensor] = []
        take = relative_errors if config.score_relative else location_errors
        for source, cloned in both:
            errors.append([take(a_s, a_c) for a_s, a_c in zip(source, cloned, strict=True)])
            plain.append(discrepancy_terms(source, cloned))
        if not plain:
            raise ValueError("a head cannot be finished without training images")
        plain_terms = torch.cat(plain).mean(dim=0).clamp_min(SMALLEST_TERM)
        by_tap = [torch.cat(parts) for parts in zip(*errors, strict=True)]
        levels = [_level(tap) for tap in by_tap] if config.score_levels else []
        standard = [tap / level for tap, level in zip(by_tap, levels, strict=True)] if levels else by_tap
        val = [tap.pow(config.score_power).mean(dim=(1, 2)).pow(1 / config.score_power).mean() for tap in standard]
        score_terms = torch.stack((torch.stack(val), plain_terms[:, 1]), dim=1).clamp_min(SMALLEST_TERM)
        return cls(levels, score_terms, plain_terms)


def _level(errors: Tensor) -> Tensor:
    """(n, h, w) -> (h, w): the mean by location, with a floor so that a place that is never wrong cannot shout."""
    mean = errors.mean(dim=0)
    return mean + LEVEL_FLOOR * mean.mean() + SMALLEST_TERM


def _spreads(terms: Tensor) -> tuple[float, ...]:
    """(n, views) of good images -> the standard deviation of each view: the yardstick for what is unusual."""
    spread = terms.std(dim=0, correction=0).maximum(LEAST_SPREAD * terms.mean(dim=0)).clamp_min(SMALLEST_TERM)
    return tuple(spread.tolist())


def _pairs(weights: Tensor) -> tuple[tuple[float, float], ...]:
    return tuple((float(val), float(direction)) for val, direction in weights.tolist())
