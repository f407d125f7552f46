"""The head of multiresolution knowledge distillation: judges an image by what its cloner gets wrong.

    score(x) = L(x; score_weights)                                   Eq. 4, per image; location errors as the score asks
    map(x)   = opening(Gaussian(|d L(x; map_weights) / d x|))        Eqs. 5 and 6; location errors to `map_power`,
                                                                     and the map to 1/map_power

One backward pass, through the cloner only: the source's activations are constants. In the paper both weights are
(1, lambda) for every tap; here each tap-and-term has its own, as the loudest tap would otherwise decide alone.

With views (models.heads.mkd.views) the errors are Mahalanobis distances d instead, and neither weights nor terms
matter:

    score(x) = sum over score_views of log(1 + power mean of d)                  view_sum "logs": needs no yardstick
    score(x) = ( sum over score_views of (power mean of d / scale)^4 )^(1/4)      view_sum "powers"; scale: their spread
    map(x)   = opening(Gaussian(sum over map_views of d))                        forward only, or its gradient
                                                                                 with `map_log` of log(1 + d)
    map(x)   = opening(Gaussian( (sum over map_views of log(1 + d) + shares of them at the places
                                  + map_whole * shares of the whole picture's) * Q^map_sharpness ))
                                                                                 attribution "shares", see there;
Q is the gradient at the pixels of L(x; map_weights), over its mean, by the same backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.mkd.cloner import Cloner, NoCloner, folded_cloner
from models.heads.mkd.config import MkdRecord
from models.heads.mkd.discrepancy import discrepancy_terms, location_map, power_mean, weighted_sum
from models.heads.mkd.half_size import half_of, halved, source_tap, with_half
from models.heads.mkd.shares import shares, sharpened, spread_out, told, with_mean
from models.heads.mkd.views import View, Whitening, distance_map, errors_of, peak_mean, window_grid
from models.heads.parts.maps import saliency, sigma_in_pixels, smooth
from models.sources.registry import Activations, spec_of

TermMask = Sequence[tuple[bool, bool]] | None  # (val, dir) for each tap; None: all
Distances = Mapping[View, Tensor]
VIEWS_POWER = 4.0  # how score views add up: near their maximum, so that one that is sure is heard


class MkdHead(Head):
    """A trained cloner with its weights. See the module for the equations."""

    method: ClassVar[str] = "mkd"
    record: MkdRecord
    score_weights: Tensor
    map_weights: Tensor

    def __init__(
        self,
        record: MkdRecord,
        cloner: Cloner | NoCloner,
        levels: Sequence[Tensor] = (),
        whitening: Whitening | None = None,
    ) -> None:
        super().__init__()
        if len(levels) != (len(record.taps) if record.score_levels else 0):
            raise ValueError(f"score_levels is {record.score_levels} and {len(levels)} levels are given")
        self.record = record
        # On a CPU a convolution in this order takes half the time, and as little for one image as for many.
        self.cloner = cloner.to(memory_format=torch.channels_last)
        self._taps = (*record.taps, *record.half_taps)
        self._scales = dict(zip(record.taps, record.tap_scales, strict=True))
        self._score_wants, self._map_wants = _wanted(record.score_weights), _wanted(record.map_weights)
        self.whitening = Whitening(record.views, {}) if whitening is None else whitening
        self.register_buffer("score_weights", torch.tensor(record.score_weights), persistent=False)
        self.register_buffer("map_weights", torch.tensor(record.map_weights), persistent=False)
        for tap, level in zip(record.taps, levels, strict=False):
            self.register_buffer(f"level_{tap}", level, persistent=False)

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(self.record.taps, bool(self.record.half_taps))

    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        """See Head.changed: the pictures at half their size."""
        return halved(images)

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge. Rows without a map cost no backward pass."""
        source = self.scaled(with_half(activations, further))
        asked = [row for row, wants in enumerate(wants_map) if wants]
        others = [row for row, wants in enumerate(wants_map) if not wants]
        scores = images.new_zeros(len(images))
        maps = images.new_zeros((len(asked), *images.shape[-2:]))
        if others:
            rows = _take(images, source, others)
            with torch.no_grad():
                scores[others] = self._scores(rows[1], self.cloned(rows[0]))
        if asked:
            rows = _take(images, source, asked)
            scores[asked], maps = self._score_and_map(*rows)
        return HeadOutput(scores, maps)

    def scaled(self, activations: Activations) -> list[Tensor]:
        """The source's activations at this head's taps, each divided by its scale; those at half the size come last.

        With channels last in memory, as the cloner's answers are: what is made of both then takes no copy.
        """
        scaled = [activations[tap] / self._scales[source_tap(tap)] for tap in self._taps]
        return [tap.contiguous(memory_format=torch.channels_last) for tap in scaled]

    def cloned(self, images: Tensor) -> list[Tensor]:
        """The cloner's answers for the same taps."""
        return cloned_at(self.cloner, images, self.record.taps, self.record.half_taps)

    @torch.no_grad()
    def view_terms(self, images: Tensor, activations: Activations) -> Tensor:
        """Every score view apart, (B, views), before `view_scales`: what a score is made of where there are views."""
        return self._view_terms(self._distances(self.record.score_views, self.scaled(activations), self.cloned(images)))

    def _distances(self, views: Sequence[View], source: list[Tensor], cloned: list[Tensor]) -> Distances:
        return dict(zip(views, self.whitening.distances(views, self._taps, source, cloned), strict=True))

    def _view_terms(self, distances: Distances) -> Tensor:
        terms = [peak_mean(distances[view], self.record.score_power) for view in self.record.score_views]
        return torch.stack(terms, dim=1)

    def _scores(self, source: list[Tensor], cloned: list[Tensor], distances: Distances | None = None) -> Tensor:
        if self.record.score_views:
            terms = self._view_terms(distances or self._distances(self.record.score_views, source, cloned))
            if self.record.view_sum == "logs":
                return terms.log1p().sum(dim=1)
            return (terms / terms.new_tensor(self.record.view_scales)).pow(VIEWS_POWER).sum(dim=1).pow(1 / VIEWS_POWER)
        return weighted_sum(self._score_terms(*self._whole(source, cloned), self._score_wants), self.score_weights)

    def _whole(self, source: list[Tensor], cloned: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of both networks, the taps of the picture at its own size."""
        count = len(self.record.taps)
        return source[:count], cloned[:count]

    def _score_terms(self, source: list[Tensor], cloned: list[Tensor], wanted: TermMask = None) -> Tensor:
        record = self.record
        levels = [self.get_buffer(f"level_{tap}") for tap in record.taps] if record.score_levels else None
        terms = discrepancy_terms(
            source, cloned, record.score_power, relative=record.score_relative, levels=levels, wanted=wanted
        )
        return power_mean(terms, record.score_power)

    def _score_and_map(self, images: Tensor, source: list[Tensor]) -> tuple[Tensor, Tensor]:
        if self.record.attribution == "discrepancy":
            with torch.no_grad():
                scores, raw = self._forward_only(images, source)
        elif self.record.attribution == "shares":
            scores, raw = self._shares(images, source)
        elif self.record.attribution == "smoothgrad":
            with torch.no_grad():
                scores = self._scores(source, self.cloned(images))
            raw = self._smoothgrad(images, source)
        elif self.record.attribution == "guided":
            with _guided_relu(self.cloner):
                scores, raw = self._gradients(images, source)
        else:
            scores, raw = self._gradients(images, source)
        maps = smooth(raw, gaussian=self.record.gaussian, sigma=self._sigma(source, images.shape[-1]))
        if self.record.attribution in {"discrepancy", "shares"} or self.record.map_power == 1:
            return scores, maps
        # Back to the scale of plain errors: the order of places stays, and weak ones are not lost in 8 bits of grey.
        return scores, maps.clamp_min(0).pow(1 / self.record.map_power)

    def _sigma(self, source: list[Tensor], size: int) -> float:
        """In pixels of the input."""
        places = {tap: tensor.shape[-1] for tap, tensor in zip(self._taps, source, strict=True)}
        seen = self.record.map_views or tuple(View(tap=tap, window=0) for tap in self.record.taps)
        width = min(window_grid(view.window, places[view.tap])[0] * size / places[view.tap] for view in seen)
        return sigma_in_pixels(self.record.map_sigma, size, width)

    def _forward_only(self, images: Tensor, source: list[Tensor]) -> tuple[Tensor, Tensor]:
        cloned = self.cloned(images)
        distances = self._distances(self.record.views, source, cloned)  # those of the score and of the map at once
        scores = self._scores(source, cloned, distances)
        if self.record.map_views:
            return scores, self._distance_map(distances, source, images.shape[-1])
        return scores, location_map(*self._whole(source, cloned), self.map_weights, images.shape[-1])

    def _distance_map(self, distances: Distances, source: list[Tensor], size: int) -> Tensor:
        places = {tap: tensor.shape[-1] for tap, tensor in zip(self._taps, source, strict=True)}
        wanted = {view: distances[view] for view in self.record.map_views}
        return distance_map(wanted, places, size, log=self.record.map_log)

    def _shares(self, images: Tensor, source: list[Tensor]) -> tuple[Tensor, Tensor]:
        """One backward pass for the batch: the shares at the taps and, through the cloner, the pixels' gradient."""
        record, trained = self.record, isinstance(self.cloner, Cloner)
        weights = record.share_weights
        with torch.enable_grad():
            inputs = images.detach().requires_grad_(trained)
            cloned = self.cloned(inputs)
            errors = errors_of(record.views, self._taps, source, [one.detach() for one in cloned])
            reduced = {view: self.whitening.reduced(view, errors[view.tap]).detach() for view in record.views}
            leaves = {view: reduced[view].requires_grad_(True) for view in weights}
            measured = {view: self.whitening.measured(view, leaf) for view, leaf in leaves.items()}
            total = told(measured, weights)
            if trained:
                total = total + self._blamed_errors(source, cloned).sum()
            gradients = torch.autograd.grad(total, [*leaves.values(), *([inputs] if trained else [])])
        with torch.no_grad():
            distances = {view: found.detach() for view, found in measured.items()}
            for view in record.views:
                if view not in distances:
                    distances[view] = self.whitening.measured(view, reduced[view])
            scores = self._scores(source, cloned, distances)
            size = images.shape[-1]
            raw = self._distance_map(distances, source, size)
            for leaf, gradient in zip(leaves.values(), gradients, strict=False):
                raw = raw + spread_out(shares(gradient, leaf), size)
            raw = sharpened(raw, saliency(gradients[-1]), record.map_sharpness) if trained else raw
            return scores, with_mean(raw, self._explained(distances))

    def _explained(self, distances: Distances) -> Tensor:
        """(B,): the sum of logarithms that a map of shares has for its mean over the pixels."""
        record = self.record
        twice = {view: 2.0 if view in record.map_views else weight for view, weight in record.share_weights.items()}
        return torch.stack([w * distances[view].log1p().mean(dim=(1, 2)) for view, w in twice.items()]).sum(dim=0)

    def _blamed(self, source: list[Tensor], cloned: list[Tensor]) -> Tensor:
        """(B,): what a gradient map explains."""
        power = self.record.map_power
        if self.record.map_views:
            distances = self._distances(self.record.map_views, source, cloned).values()
            return torch.stack([one.pow(power).mean(dim=(1, 2)) for one in distances]).sum(dim=0)
        return self._blamed_errors(source, cloned)

    def _blamed_errors(self, source: list[Tensor], cloned: list[Tensor]) -> Tensor:
        terms = discrepancy_terms(*self._whole(source, cloned), self.record.map_power, wanted=self._map_wants)
        return weighted_sum(terms, self.map_weights)

    def _gradients(self, images: Tensor, source: list[Tensor]) -> tuple[Tensor, Tensor]:
        """One backward pass for the batch: the sum's gradient by an image is that image's own."""
        with torch.enable_grad():
            inputs = images.detach().requires_grad_(True)
            cloned = self.cloned(inputs)
            (gradients,) = torch.autograd.grad(self._blamed(source, cloned).sum(), inputs)
        with torch.no_grad():
            scores = self._scores(source, cloned)
        return scores, saliency(gradients)

    def _smoothgrad(self, images: Tensor, source: list[Tensor]) -> Tensor:
        """Mean gradient over noisy copies (Smilkov et al., 2017); the noise is seeded, so an answer repeats."""
        generator = torch.Generator(device="cpu").manual_seed(0)
        shape = images.shape[1:]
        total = torch.zeros_like(images)
        for _ in range(self.record.smoothgrad_samples):
            noise = torch.randn(shape, generator=generator).to(images.device) * self.record.smoothgrad_noise
            with torch.enable_grad():
                inputs = (images + noise).detach().requires_grad_(True)
                (gradients,) = torch.autograd.grad(self._blamed(source, self.cloned(inputs)).sum(), inputs)
            total += gradients
        return saliency(total / self.record.smoothgrad_samples)

    def tensors(self) -> dict[str, Tensor]:
        """The folded cloner's weights and biases, and levels and whitening where there are any."""
        found = {f"cloner.{key}": value for key, value in self.cloner.state_dict().items()}
        if self.record.score_levels:
            found |= {f"levels.{tap}": self.get_buffer(f"level_{tap}") for tap in self.record.taps}
        found |= {f"whitening.{key}": value for key, value in self.whitening.tensors().items()}
        return {key: value.detach().cpu().contiguous() for key, value in found.items()}


def cloned_at(cloner: Cloner | NoCloner, images: Tensor, taps: Sequence[str], half_taps: Sequence[str]) -> list[Tensor]:
    """The cloner's answers at its taps, then those at `half_taps` for the pictures at half their size."""
    found = list(cloner(images))
    if half_taps:
        found += [one for tap, one in zip(taps, cloner(halved(images)), strict=True) if half_of(tap) in half_taps]
    return found


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> MkdHead:
    """See Method.load."""
    record = MkdRecord.model_validate(stored)
    cloner = folded_cloner(record.cloner, record.taps, spec_of(record.source), input_range=record.cloner_input)
    parts = {prefix: _part(tensors, prefix) for prefix in ("cloner.", "levels.", "whitening.")}
    strange = len(tensors) - sum(len(part) for part in parts.values())
    wanted = set(record.taps) if record.score_levels else set()
    if strange or set(parts["levels."]) != wanted:
        raise ValueError(
            f"the levels of {', '.join(wanted) or 'no tap'}, whitening and a cloner are expected, and nothing else"
        )
    whitening = Whitening(record.views, parts["whitening."])
    try:
        cloner.load_state_dict(parts["cloner."])
    except RuntimeError as error:
        raise ValueError(f"the tensors do not fit the cloner that the manifest describes: {error}") from error
    levels = [parts["levels."][tap] for tap in record.taps if record.score_levels]
    return MkdHead(record, cloner, levels, whitening)


def _wanted(weights: Sequence[tuple[float, float]]) -> TermMask:
    """Which terms have any weight. Where none has, all are wanted: a sum needs something to be the gradient of."""
    found = [(val != 0, direction != 0) for val, direction in weights]
    return found if any(val or direction for val, direction in found) else None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _take(images: Tensor, source: list[Tensor], rows: list[int]) -> tuple[Tensor, list[Tensor]]:
    if len(rows) == len(images):
        return images, source
    return images[rows], [tensor[rows] for tensor in source]


@contextmanager
def _guided_relu(cloner: nn.Module) -> Iterator[None]:
    """Guided backpropagation (Springenberg et al., 2015): negative gradients stop at each ReLU, too."""

    def clamp(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if output.requires_grad:
            output.register_hook(functional.relu)  # type: ignore[no-untyped-call]
        return output

    handles = [layer.register_forward_hook(clamp) for layer in cloner.modules() if isinstance(layer, nn.ReLU)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
