"""ICA: trains the pose of the whole picture, so that good parts lie on top of each other.

loss = mean over pairs of a batch of | T(a) - T(b) |^2 = 2 / (B - 1) sum over the batch of | T(a) - mean T |^2

on pictures reduced to 32 pixels a side: what is finer gives no gradient where parts do not overlap yet.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.base import GoodParts, Trainable
from models.heads.fyd.pose import Pose, turned
from models.sources.registry import Activations

COMPARED = 32  # pixels to a side


class PictureAlignment(Trainable):
    """The pose network in training. It reads the activations of `tap`, that is, of the first source pass."""

    def __init__(self, tap: str, channels: int, scale: float) -> None:
        super().__init__()
        self._tap, self._scale = tap, scale
        self.pose = Pose(channels)

    @property
    def trained(self) -> nn.Module:
        """The pose network."""
        return self.pose

    @property
    def fingerprint(self) -> str:
        """See Trainable.fingerprint."""
        return f"ica {self._tap}"

    def poses(self, activations: Activations) -> Tensor:
        """(B, 2, 3) of the activations' images."""
        found: Tensor = self.pose(activations[self._tap].float() / self._scale)
        return found

    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """See the module; per pixel."""
        return _apart(turned(_small(images), self.poses(activations)))

    @torch.no_grad()
    def left(self, parts: GoodParts) -> float:
        """The share of the pictures' mean squared difference that is left after alignment."""
        before, after = [], []
        for images, activations in parts.batches():
            small = _small(images)
            before.append(small)
            after.append(turned(small, self.poses(activations)))
        return float(_apart(torch.cat(after)) / _apart(torch.cat(before)).clamp_min(1e-12))

    def mark(self) -> str:
        """A hash of the weights: what is trained on aligned pictures depends on them."""
        state = self.pose.state_dict()
        return hashlib.sha256(b"".join(tensor.cpu().numpy().tobytes() for tensor in state.values())).hexdigest()


def _small(images: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(images.contiguous(), COMPARED)


def _apart(images: Tensor) -> Tensor:
    """The mean squared difference of two of them: twice their variance."""
    return 2 * images.var(dim=0).mean()
