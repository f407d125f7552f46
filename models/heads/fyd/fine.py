"""The fine alignment: a projection under which the same places of two good parts look alike.

    loss = - cos(h(z_a), stop(z_b))         at the same places of two good parts a and b
    z    = g(FCA(f))                        g: projector, h: predictor

After SimSiam (Chen and He, 2021), with another good part in the place of another view of the same one. FCA has no loss
of its own: it learns from this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.base import Trainable
from models.heads.fyd.pose import Pose, turned
from models.heads.parts.patches import projected_features
from models.sources.registry import Activations


class FineNetwork(nn.Module):
    """Features (B, D, h, w) -> their projection, of the same shape, and the pose (B, 2, 3) by FCA, where there is one.

    The projector works at each place alone, and its answers have unit variance by a last BatchNorm.
    """

    def __init__(self, dimensions: int, align: bool) -> None:
        super().__init__()
        self.pose = Pose(dimensions) if align else None
        self.projector = nn.Sequential(
            nn.Conv2d(dimensions, dimensions, 1, bias=False),
            nn.BatchNorm2d(dimensions),
            nn.ReLU(),
            nn.Conv2d(dimensions, dimensions, 1, bias=False),
            nn.BatchNorm2d(dimensions, affine=False),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        pose = None
        if self.pose is not None:
            pose = self.pose(features)
            features = turned(features, pose)
        return self.projector(features), pose


class FineAlignment(Trainable):
    """FCA, projector and predictor in training. `about` says on what images, beside the run's own account of them."""

    def __init__(
        self,
        network: FineNetwork,
        projection: Tensor,
        taps: Sequence[str],
        grid_tap: str,
        tap_scales: Sequence[float],
        about: str,
    ) -> None:
        super().__init__()
        self._taps, self._grid_tap, self._tap_scales, self._about = tuple(taps), grid_tap, tuple(tap_scales), about
        self.projection = nn.Buffer(projection)
        dimensions = projection.shape[1]
        inner = max(1, dimensions // 4)  # a bottleneck, as in SimSiam
        predictor = nn.Sequential(
            nn.Conv2d(dimensions, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, dimensions, 1),
        )
        self.both = nn.ModuleDict({"network": network, "predictor": predictor})

    @property
    def trained(self) -> nn.Module:
        """FCA, projector and predictor."""
        return self.both

    @property
    def fingerprint(self) -> str:
        """See Trainable.fingerprint."""
        return f"fyd {self._about}"

    def features(self, activations: Activations) -> Tensor:
        """(B, D, h, w): what is aligned."""
        found = projected_features(activations, self._taps, self._grid_tap, self._tap_scales, self.projection)
        return found.permute(0, 3, 1, 2)

    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """See the module: each part of the batch beside the next one, both ways."""
        projected, _ = self.both["network"](self.features(activations))
        predicted, fixed = self.both["predictor"](projected), projected.detach()
        likeness = [functional.cosine_similarity(predicted, fixed.roll(by, dims=0), dim=1).mean() for by in (1, -1)]
        return -torch.stack(likeness).mean()
