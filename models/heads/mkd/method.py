"""Multiresolution knowledge distillation as a method: a cloner is trained to imitate the source on good parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Head, Method, SourceNeeds, taps_of
from models.heads.candidate import Candidate
from models.heads.mkd.candidates import CANDIDATES, small_windows
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.fit import MkdTrainable
from models.heads.mkd.half_size import BothSizes, half_of, is_half
from models.heads.mkd.head import MkdHead, load_head
from models.heads.mkd.views import View
from models.heads.parts.folds import Fold, folds_of
from models.sources.registry import SourceSpec

MOSTLY_SHARED = 0.5  # below it a place is measured mainly by what is usual anywhere
FOLDS = 4  # of the images, for the yardsticks of the score's views


class MkdMethod(Method[MkdConfig]):
    """See the module, and models.heads.base.Method."""

    name = "mkd"
    title = "Multiresolution Knowledge Distillation (Salehi et al., CVPR 2021)"
    when = "the default: parts that lie still or freely, defects small or all over; takes a training of minutes"
    Config = MkdConfig
    candidates = CANDIDATES

    def fine_candidates(self, size: int) -> tuple[Candidate, ...]:
        """See Method.fine_candidates."""
        return small_windows(size)

    def needs(self, config: MkdConfig, source: SourceSpec) -> SourceNeeds:
        """The trained taps, of both sizes of the picture where a view is of the half one."""
        return SourceNeeds(taps_of(config.taps, source), bool(config.half_taps))

    def fit(self, config: MkdConfig, parts: GoodParts, run: FitRun) -> MkdHead:
        """Trains the cloner and finishes the head on the same images."""
        own = in_terms_of(config, parts.source)
        parts = _seen(own, parts)
        torch.manual_seed(run.seed)
        trainable = MkdTrainable(own, parts.rms(), parts.source).to(run.device)
        if own.cloner != "none":
            run.train(trainable, parts, own)
        head = trainable.finish(parts.batches(), _folds(own, parts, run), run.seed, parts.picture_numbers)
        _tell(trainable.own_shares, run)
        return head

    def fit_again(self, config: MkdConfig, head: Head, parts: GoodParts, run: FitRun) -> MkdHead:
        """See Method.fit_again: the cloner of `head`, and the usual errors of `parts`."""
        assert isinstance(head, MkdHead)
        own = in_terms_of(config, parts.source)
        parts = _seen(own, parts)
        trainable = MkdTrainable(own, parts.rms(), parts.source)
        trainable.tap_scales = list(head.record.tap_scales)
        trainable.cloner = head.cloner
        folds = _folds(own, parts, run)
        return trainable.to(run.device).finish(parts.batches(), folds, run.seed, parts.picture_numbers)

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> MkdHead:
        """See Method.load."""
        return load_head(record, tensors)


def _tell(own_shares: Mapping[str, float], run: FitRun) -> None:
    """How far the views by place could tell one place from another: few pictures, textures, parts that lie freely."""
    if not own_shares:
        return
    run.note("own_covariance", dict(own_shares))
    listed = ", ".join(f"{view} {share:.0%}" for view, share in own_shares.items())
    run.say(f"of the covariance at a place, its own (the rest is that of all places): {listed}")
    if max(own_shares.values()) < MOSTLY_SHARED:
        run.say("places are hardly told apart: few pictures, a texture, or parts that lie freely")


def _seen(config: MkdConfig, parts: GoodParts) -> GoodParts:
    """The parts at the sizes that the configuration looks at. Raises ValueError where the half one has no whole tap."""
    if not config.half_taps:
        return parts
    deepest = max(parts.source.taps[tap].stride for tap in config.taps)
    if parts.image_size % (2 * deepest):
        raise ValueError(
            f"at half of {parts.image_size} pixels the tap of stride {deepest} has no whole number of places: take an "
            f"image size that is a multiple of {2 * deepest}, or leave that tap out of taps"
        )
    return BothSizes.of(parts)


def _folds(config: MkdConfig, parts: GoodParts, run: FitRun) -> list[Fold]:
    """None where there is nothing to weigh: one view's yardstick would only change the score's unit."""
    if config.view_sum != "powers" or len(config.score_views) < 2:
        return []
    return folds_of(parts, FOLDS, run.generator("mkd yardsticks"))


def in_terms_of(config: MkdConfig, source: SourceSpec) -> MkdConfig:
    """The configuration with the source's own names of its taps and views."""

    def named(taps: tuple[str, ...]) -> tuple[str, ...]:
        return taps_of(taps, source)

    def viewed(views: tuple[View, ...]) -> tuple[View, ...]:
        return tuple(
            view.model_copy(update={"tap": half_of(tap) if is_half(view.tap) else tap})
            for view, tap in zip(views, named(tuple(view.source_tap for view in views)), strict=True)
        )

    changes: dict[str, Any] = {name: named(getattr(config, name)) for name in ("taps", "score_taps", "map_taps")}
    changes |= {name: viewed(getattr(config, name)) for name in ("score_views", "map_views")}
    return config.model_copy(update=changes)
