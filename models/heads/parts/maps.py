"""Anomaly maps from gradients (Eq. 6 of Salehi et al., 2021) and from the scores of patches.

    map = opening(Gaussian_sigma(sum over colours |d L / d x|))         sigma 4 and an ellipse of 3x3 at 128 pixels
    map = Gaussian_sigma(patch scores brought to the picture)           sigma 4 at 224 pixels

Both grow with the image size. The first may follow the width of what the finest view sees instead: a single place of a
tap is a smaller share of a large picture, and a wide Gaussian hides what is small. All of it runs on the device, for a
whole batch at once. The blur is our own: torchvision's has no separable kernel and takes 16 times the products at these
widths.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Literal

import cv2
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

REFERENCE_SIZE = 128  # the image size at which the paper's sigma and ellipse are given
PATCH_REFERENCE_SIZE = 224  # the same for maps of patches (Roth et al., 2022; Defard et al., 2020)
SIGMA = 4.0
ELLIPSE = 3
WINDOW_SHARE = 0.5  # of a window's width: sigma 4 for a single place of a tap of stride 8

SigmaRule = Annotated[float, Field(gt=0, le=64)] | Literal["input", "window"]


def saliency(gradients: Tensor) -> Tensor:
    """(B, 3, S, S) gradients of L by the input -> (B, S, S): absolute values summed over the colours."""
    return gradients.abs().sum(dim=1)


def smooth(maps: Tensor, *, gaussian: bool = True, sigma: float | None = None) -> Tensor:
    """(B, S, S) -> (B, S, S): Gaussian blur by `sigma` pixels, then a morphological opening with an ellipse.

    Without `sigma` it is scaled with S. The ellipse has three quarters of it to its diameter.
    """
    sigma = scaled_sigma(maps.shape[-1]) if sigma is None else sigma
    blurred = gaussian_blur(maps, sigma) if gaussian else maps
    return opening(blurred, _odd(ELLIPSE / SIGMA * sigma))


def scaled_sigma(size: int) -> float:
    """The paper's sigma for a picture of that side, in its pixels."""
    return SIGMA * size / REFERENCE_SIZE


def sigma_in_pixels(rule: SigmaRule, size: int, window: float) -> float:
    """What `rule` is in pixels of a picture of that side, whose map is read off windows of so many pixels' width.

    A Gaussian is to bridge the windows: half of one does so. Small pictures have no room for more than their share.
    """
    if rule == "input":
        return scaled_sigma(size)
    if rule == "window":
        return min(scaled_sigma(size), WINDOW_SHARE * window)
    return rule


def patch_map(scores: Tensor, size: int) -> Tensor:
    """Scores of patches (B, h, w) -> maps (B, size, size): bilinear, then blurred."""
    if not len(scores):  # a picture whose map nobody asked for
        return scores.new_zeros((0, size, size))
    full = functional.interpolate(scores[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    return gaussian_blur(full, SIGMA * size / PATCH_REFERENCE_SIZE)


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """(B, H, W) -> (B, H, W), separable, cut off at 4 sigma, edges mirrored (scipy.ndimage's mode 'mirror')."""
    height, width = maps.shape[-2:]
    # 'reflect' padding needs a radius smaller than the image.
    radius = min(math.ceil(4 * sigma), height - 1, width - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    rows = functional.conv2d(functional.pad(maps[:, None], (radius, radius, 0, 0), mode="reflect"), kernel)
    columns = functional.conv2d(functional.pad(rows, (0, 0, radius, radius), mode="reflect"), kernel.transpose(2, 3))
    return columns[:, 0]


def opening(maps: Tensor, diameter: int) -> Tensor:
    """(B, H, W) -> (B, H, W): erosion, then dilation, with OpenCV's ellipse of that odd diameter."""
    offsets = _ellipse_offsets(diameter)
    eroded = _extreme_over(maps, offsets, diameter // 2, lowest=True)
    return _extreme_over(eroded, offsets, diameter // 2, lowest=False)


def _extreme_over(maps: Tensor, offsets: tuple[tuple[int, int], ...], radius: int, *, lowest: bool) -> Tensor:
    height, width = maps.shape[-2:]
    outside = math.inf if lowest else -math.inf  # what lies outside the image never wins, as in OpenCV
    padded = functional.pad(maps, (radius,) * 4, value=outside)
    result: Tensor | None = None
    for y, x in offsets:
        shifted = padded[:, y : y + height, x : x + width]
        if result is None:
            result = shifted
        else:
            result = torch.minimum(result, shifted) if lowest else torch.maximum(result, shifted)
    assert result is not None  # an ellipse is never empty
    return result


@lru_cache(maxsize=16)
def _ellipse_offsets(diameter: int) -> tuple[tuple[int, int], ...]:
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return tuple((int(y), int(x)) for y, x in zip(*element.nonzero(), strict=True))


def _odd(value: float) -> int:
    return max(1, 2 * round((value - 1) / 2) + 1)
