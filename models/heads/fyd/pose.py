"""A part's pose, found by a small network, and pictures or features turned by it (Jaderberg et al., 2015).

    aligned(u) = values(A u + t)        A: a rotation, t: a shift; coordinates from -1 to 1 over the picture

A pose is (B, 2, 3), A beside t. Turns and shifts keep areas: the plain affine transform of the paper can make any two
pictures alike by enlarging a place where nothing is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PLACES = 8  # to a side, of what the network sees
HIDDEN = 32
FARTHEST = 0.5  # shift, of half the picture's side


class Pose(nn.Module):
    """Features (B, C, h, w) -> poses (B, 2, 3). Before training each is the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(channels, HIDDEN, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(PLACES))
        self.answer = nn.Sequential(
            nn.Flatten(), nn.Linear(HIDDEN * PLACES * PLACES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 4)
        )
        last = self.answer[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        along, across, *shift = self.answer(self.reduce(features.contiguous())).unbind(dim=1)
        length = torch.sqrt(along.square() + across.square() + 1e-8)
        cosine, sine = along / length, across / length
        x, y = (FARTHEST * torch.tanh(one) for one in shift)
        return torch.stack((cosine, -sine, x, sine, cosine, y), dim=1).view(-1, 2, 3)


def turned(values: Tensor, pose: Tensor) -> Tensor:
    """(B, C, h, w) and poses (B, 2, 3) -> (B, C, h, w), bilinear; outside the picture its edge goes on."""
    grid = functional.affine_grid(pose, list(values.shape), align_corners=False)
    return functional.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """The pose that turns at once as `first` and then `second` do."""
    shift = first[:, :, :2] @ second[:, :, 2:] + first[:, :, 2:]
    return torch.cat((first[:, :, :2] @ second[:, :, :2], shift), dim=2)


def inverse(pose: Tensor) -> Tensor:
    """The pose that turns back. The inverse of a rotation is its transpose."""
    back = pose[:, :, :2].transpose(1, 2)
    return torch.cat((back, -back @ pose[:, :, 2:]), dim=2)


def out_of_view(pose: Tensor, side: int) -> Tensor:
    """The share of the picture's places, `side` to a side, that are not in the turned picture: (B,)."""
    grid = functional.affine_grid(inverse(pose), [len(pose), 1, side, side], align_corners=False)
    return (grid.abs() > 1).any(dim=3).float().mean(dim=(1, 2))
