"""How likely other good parts are by the Gaussians of MKD's first view by place, without a cloner."""

from __future__ import annotations

import torch
from torch import Tensor

from models.heads.base import GoodParts
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.method import in_terms_of
from models.heads.mkd.views import DIMENSIONS, View, contrast_errors, windows
from models.heads.parts.patches import random_mixtures
from models.heads.parts.place_gaussians import likeliest


def cost_of_others(config: MkdConfig, fitted: GoodParts, others: GoodParts, generator: torch.Generator) -> float:
    """Minus the mean log likelihood of `others` at a place by the Gaussians of `fitted`, in nats; `generator` mixes.

    Costs of two sets of parts compare where both come of generators of one seed. Raises ValueError without a view by
    place.
    """
    own = in_terms_of(config, fitted.source)
    view = next((one for one in own.score_views if one.by_place), None)
    if view is None:
        raise ValueError("the likelihood of parts needs a view by place among score_views")
    projection = random_mixtures(fitted.source.taps[view.tap].channels, DIMENSIONS, generator)
    return likeliest(_vectors(fitted, view, projection), _vectors(others, view, projection)).cost


@torch.no_grad()
def _vectors(parts: GoodParts, view: View, projection: Tensor) -> Tensor:
    """(n, places, D) of the view: what MKD without a cloner takes a Gaussian of."""
    found = []
    for _, activations in parts.batches():
        tap = activations[view.tap]
        errors = contrast_errors(tap, torch.zeros_like(tap))
        found.append((windows(errors, view.window) @ projection.to(errors.device)).flatten(1, 2).cpu())
    return torch.cat(found)
