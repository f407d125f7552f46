"""The activations of source and cloner in, their discrepancy out: per image, per tap, per term.

This is the one formula of the method. Training loss, image score and anomaly map all call it.

    val_i = 1/N_i * sum_j (a_s^i(j) - a_c^i(j))^2            Eq. 1 of the paper, N_i neurons of tap i
          = mean over locations of e_i(location)             e_i: squared error averaged over the channels
    dir_i = 1 - cos(vec(a_s^i), vec(a_c^i))                  Eq. 3, one cosine over the whole flattened map
    L     = sum_i weight[i, val] * val_i + weight[i, dir] * dir_i
                                                             Eq. 4 is weight[:, val] = 1, weight[:, dir] = lambda
Three departures from the paper, each off unless asked for:

- `power`: val_i = mean of e_i^power. In a map, power 2 weighs the gradient by the error of each location, so the map
  follows the places that the cloner gets wrong and not the many places where it could. In a score, the power mean
  (mean of e_i^p)^(1/p) lies between the mean and the maximum, so a small defect is not averaged away.
- `relative`: e_i is divided by the image's own energy, the mean square of its source activations at that tap, so that
  contrast and brightness of the picture weigh less than its structure.
- `levels`: e_i is divided by what is usual at that location on the training images: edges and busy places of the
  part speak no louder than plain ones.

The source's activations come divided by one number per tap (their RMS over the training images), so that a tap's
loudness is not its importance; the cloner learns the scaled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TERMS: tuple[str, ...] = ("val", "dir")
SMALLEST_ENERGY = 1e-6  # a tap without any activation has no error worth dividing


def location_errors(source: Tensor, cloner: Tensor) -> Tensor:
    """Squared error averaged over the channels: two (B, C, h, w) -> (B, h, w). Its mean over h, w is `val`."""
    return (source - cloner).square().mean(dim=1)


def relative_errors(source: Tensor, cloner: Tensor) -> Tensor:
    """`location_errors` divided by the mean square of the image's source activations: two (B, C, h, w) -> (B, h, w)."""
    energy = source.square().mean(dim=(1, 2, 3)).clamp_min(SMALLEST_ENERGY)
    return location_errors(source, cloner) / energy[:, None, None]


def discrepancy_terms(
    source: Sequence[Tensor],
    cloner: Sequence[Tensor],
    power: float = 1.0,
    *,
    relative: bool = False,
    levels: Sequence[Tensor] | None = None,
    wanted: Sequence[Sequence[bool]] | None = None,
) -> Tensor:
    """Both networks' activations, one (B, C_i, h_i, w_i) per tap -> (B, taps, 2), terms in the order of TERMS.

    `power`, `relative` and `levels` (h_i, w_i) per tap are of the errors by location (see above). `wanted` (taps, 2)
    says which are computed, the others are zero and cost nothing. Every row depends on its own image only: a batch
    equals singles.
    """
    rows = []
    for index, (a_s, a_c) in enumerate(zip(source, cloner, strict=True)):
        wants_val, wants_dir = (True, True) if wanted is None else wanted[index]
        if power == 1 and not relative and levels is None and wants_val and wants_dir:
            rows.append(plain_terms(a_s, a_c))
            continue
        val = direction = a_s.new_zeros(len(a_s))
        if wants_val and power > 1 and not relative and levels is None:
            val = power_val(a_s, a_c, power)
        elif wants_val:
            errors = relative_errors(a_s, a_c) if relative else location_errors(a_s, a_c)
            if levels is not None:
                errors = errors / levels[index]
            val = (errors if power == 1 else errors.pow(power)).mean(dim=(1, 2))
        if wants_dir:
            direction = 1 - functional.cosine_similarity(*_flattened(a_s, a_c), dim=1)
        rows.append(torch.stack((val, direction), dim=1))
    return torch.stack(rows, dim=1)


def plain_terms(source: Tensor, cloner: Tensor) -> Tensor:
    """Eqs. 1 and 3 of one tap: two (B, C, h, w) -> (B, 2). The training loss, so its gradient is written out."""
    return _PlainTerms.apply(source, cloner)  # type: ignore[no-any-return]


class _PlainTerms(torch.autograd.Function):
    """val and dir with d val / d c = 2 (c - s) / N and d dir / d c = (cos * c / |c| - s / |s|) / |c|, and for s alike.

    Both are sums of c and s, each times one number per image: two passes over the activations where autograd takes ten.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, cloner: Tensor) -> Tensor:
        s, c = _flattened(source, cloner)
        gap = s - c
        ss, cc, sc = (torch.linalg.vecdot(a, b) for a, b in ((s, s), (c, c), (s, c)))
        lengths = (ss.clamp_min(SMALLEST_ENERGY**2) * cc.clamp_min(SMALLEST_ENERGY**2)).sqrt()
        ctx.save_for_backward(source, cloner, ss, cc, sc / lengths, lengths)
        return torch.stack((torch.linalg.vecdot(gap, gap) / s.shape[1], 1 - sc / lengths), dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        source, cloner, ss, cc, cosine, lengths = ctx.saved_tensors
        val, direction = (2 / source[0].numel()) * gradients[0][:, 0], gradients[0][:, 1]
        across = -val - direction / lengths  # what each takes of the other
        found = []
        for needed, own, other, energy in zip(
            ctx.needs_input_grad, (source, cloner), (cloner, source), (ss, cc), strict=True
        ):
            along = val + direction * cosine / energy.clamp_min(SMALLEST_ENERGY**2)
            found.append((own * _by_image(along)).addcmul_(other, _by_image(across)) if needed else None)
        return found[0], found[1]


def power_val(source: Tensor, cloner: Tensor, power: float) -> Tensor:
    """The mean of e^power, two (B, C, h, w) -> (B,). What a map is the gradient of, so its gradient is written out."""
    return _PowerVal.apply(source, cloner, power)  # type: ignore[no-any-return]


class _PowerVal(torch.autograd.Function):
    """d val / d c = -2 power e^(power - 1) (s - c) / N, and for s the other way round.

    The gap times one number for each location: one pass over the activations where autograd takes four.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, cloner: Tensor, power: float) -> Tensor:
        gap = source - cloner
        errors = torch.linalg.vector_norm(gap, dim=1, keepdim=True).square() / gap.shape[1]
        ctx.save_for_backward(gap, errors)
        ctx.power = power
        found: Tensor = errors.pow(power).mean(dim=(1, 2, 3))
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        gap, errors = ctx.saved_tensors
        slopes = errors.pow(ctx.power - 1) * _by_image(gradient * (2 * ctx.power / gap[0].numel()))
        to_source, to_cloner = (
            gap * sign if needed else None
            for needed, sign in zip(ctx.needs_input_grad, (slopes, -slopes), strict=False)
        )
        return to_source, to_cloner, None


def _by_image(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]


def _flattened(a_s: Tensor, a_c: Tensor) -> tuple[Tensor, Tensor]:
    """Two (B, C, h, w) -> two (B, C * h * w) in one order, whichever of the two orders takes no copy."""
    if all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (a_s, a_c)):
        a_s, a_c = a_s.permute(0, 2, 3, 1), a_c.permute(0, 2, 3, 1)
    return a_s.flatten(1), a_c.flatten(1)


def weighted_sum(terms: Tensor, weights: Tensor) -> Tensor:
    """(B, taps, 2) and (taps, 2) -> the discrepancy L of each image, (B,)."""
    return (terms * weights).sum(dim=(1, 2))


def power_mean(terms: Tensor, power: float) -> Tensor:
    """`discrepancy_terms` of that power, (B, taps, 2) -> the same with val taken to 1/power."""
    if power == 1:
        return terms
    return torch.stack((terms[..., 0].pow(1 / power), terms[..., 1]), dim=-1)


def location_map(source: Sequence[Tensor], cloner: Sequence[Tensor], weights: Tensor, size: int) -> Tensor:
    """Forward-only map: the `val` errors of every location, upsampled and summed over taps. -> (B, size, size)."""
    total: Tensor | None = None
    for index, (a_s, a_c) in enumerate(zip(source, cloner, strict=True)):
        errors = location_errors(a_s, a_c)[:, None] * weights[index, 0]
        full = functional.interpolate(errors, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
        total = full if total is None else total + full
    if total is None:
        raise ValueError("a location map needs at least one tap")
    return total
