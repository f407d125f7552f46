"""Adds up the errors of training images, view by view, for the whitening that says what is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.heads.mkd.views import DIMENSIONS, View, Whitening, windows
from models.heads.parts.moments import Moments
from models.heads.parts.patches import random_mixtures
from models.heads.parts.place_gaussians import PlaceFit, PlaceGaussians


class UsualErrors:
    """Errors come in batches by tap; `seed` draws the projections of views by place."""

    def __init__(self, views: Sequence[View], seed: int) -> None:
        self._views = views
        self._anywhere = {view: Moments() for view in views if not view.by_place}
        self._by_place = {view: _ByPlace(view, seed) for view in views if view.by_place}
        self.own_shares: dict[str, float] = {}  # of each view by place, how much of its covariances is the place's own

    def add(self, errors: Mapping[str, Tensor]) -> None:
        """r (B, C, h, w) of every tap that a view looks at."""
        for view, moments in self._anywhere.items():
            moments.add(windows(errors[view.tap], view.window))
        for view, places in self._by_place.items():
            places.add(errors[view.tap])

    def whitening(self, picture_numbers: Sequence[int] | None = None) -> Whitening:
        """`picture_numbers` as for PlaceGaussians.fitted. Raises ValueError where nothing was added."""
        tensors: dict[str, Tensor] = {}
        for view, moments in self._anywhere.items():
            tensors[f"{view.key}.mean"], tensors[f"{view.key}.matrix"] = moments.whitening()
        for view, places in self._by_place.items():
            fit = places.fitted(picture_numbers)
            tensors |= {f"{view.key}.{part}": tensor for part, tensor in places.tensors(fit).items()}
            self.own_shares[str(view)] = round(1 - fit.shared, 4)
        return Whitening(self._views, tensors)


class _ByPlace:
    """The mean of r at each place, and Gaussians of its windows' projected means."""

    def __init__(self, view: View, seed: int) -> None:
        self._view = view
        self._seed = seed
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._projection: Tensor | None = None
        self._gaussians = PlaceGaussians()

    def add(self, errors: Tensor) -> None:
        """r (B, C, h, w)."""
        if self._projection is None:
            generator = torch.Generator().manual_seed(self._seed)
            mixtures = random_mixtures(errors.shape[1], DIMENSIONS, generator)
            self._projection = mixtures.half().to(errors.device)
        self._count += len(errors)
        self._sum = self._sum + errors.sum(dim=0).double()
        seen = windows(errors, self._view.window) @ self._projection.to(errors.dtype)
        self._gaussians.add(seen.flatten(1, 2))

    def fitted(self, picture_numbers: Sequence[int] | None) -> PlaceFit:
        """The Gaussians of all that was added; see PlaceGaussians.fitted."""
        return self._gaussians.fitted(picture_numbers)

    def tensors(self, fit: PlaceFit) -> dict[str, Tensor]:
        """See Whitening."""
        total = torch.as_tensor(self._sum)
        assert self._projection is not None
        mean = (total / self._count).permute(1, 2, 0)
        found = {"mean": mean, "projection": self._projection, "matrix": fit.factor}
        return {part: tensor.to(total.device).half().contiguous() for part, tensor in found.items()}
