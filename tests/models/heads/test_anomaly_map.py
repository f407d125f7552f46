"""Gaussian and opening against the libraries that define them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from models.heads.parts.maps import SigmaRule, gaussian_blur, opening, saliency, sigma_in_pixels, smooth


def some_maps(height: int, width: int, count: int = 2) -> npt.NDArray[np.float32]:
    return np.random.default_rng(height + width).random((count, height, width), dtype=np.float32)


@pytest.mark.parametrize(("size", "sigma"), [(32, 1.0), (64, 2.0), (128, 4.0), (96, 3.0)])
def test_the_blur_is_scipys_gaussian(size: int, sigma: float) -> None:
    maps = some_maps(size, size)
    ours = gaussian_blur(torch.from_numpy(maps), sigma).numpy()
    for mine, raw in zip(ours, maps, strict=True):
        assert np.allclose(mine, ndimage.gaussian_filter(raw, sigma, mode="mirror", truncate=4.0), atol=1e-5)


def test_a_map_that_is_not_square_is_blurred_the_same_way() -> None:
    maps = some_maps(40, 64)
    ours = gaussian_blur(torch.from_numpy(maps), 2.0).numpy()
    assert np.allclose(ours[0], ndimage.gaussian_filter(maps[0], 2.0, mode="mirror", truncate=4.0), atol=1e-5)


def test_a_blur_wider_than_the_map_still_works_and_keeps_a_flat_map_flat() -> None:
    flat = torch.full((1, 8, 8), 3.0)
    assert torch.allclose(gaussian_blur(flat, 6.0), flat)


@pytest.mark.parametrize("diameter", [1, 3, 5, 7, 9])
def test_the_opening_is_opencvs_with_its_ellipse(diameter: int) -> None:
    maps = some_maps(48, 33)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    ours = opening(torch.from_numpy(maps), diameter).numpy()
    for mine, raw in zip(ours, maps, strict=True):
        assert np.array_equal(mine, cv2.morphologyEx(raw, cv2.MORPH_OPEN, ellipse))


@pytest.mark.parametrize(("size", "sigma", "diameter"), [(128, 4.0, 3), (256, 8.0, 5), (64, 2.0, 1), (32, 1.0, 1)])
def test_sigma_and_ellipse_grow_with_the_image(size: int, sigma: float, diameter: int) -> None:
    maps = torch.from_numpy(some_maps(size, size))
    assert torch.equal(smooth(maps), opening(gaussian_blur(maps, sigma), diameter))


def test_the_gaussian_can_be_switched_off() -> None:
    maps = torch.from_numpy(some_maps(128, 128))
    assert torch.equal(smooth(maps, gaussian=False), opening(maps, 3))


def test_a_given_sigma_sets_the_ellipse_too_whatever_the_size() -> None:
    maps = torch.from_numpy(some_maps(96, 96))
    assert torch.equal(smooth(maps, sigma=4.0), opening(gaussian_blur(maps, 4.0), 3))
    assert torch.equal(smooth(maps, sigma=2.0), gaussian_blur(maps, 2.0))


@pytest.mark.parametrize(
    ("rule", "size", "window", "sigma"),
    [
        ("input", 640, 4, 20.0),
        ("window", 640, 4, 2.0),
        ("window", 640, 16, 8.0),
        ("window", 128, 8, 4.0),  # the default at its own size: as the paper
        ("window", 32, 8, 1.0),  # a small picture has no room for more than its share
        (3.5, 640, 4, 3.5),
    ],
)
def test_by_window_the_gaussian_bridges_the_windows_and_no_more(
    rule: SigmaRule, size: int, window: float, sigma: float
) -> None:
    assert sigma_in_pixels(rule, size, window) == sigma


def test_the_opening_removes_a_lone_pixel_and_keeps_a_spot() -> None:
    maps = torch.zeros(1, 32, 32)
    maps[0, 4, 4] = 1
    maps[0, 16:24, 16:24] = 1
    opened = opening(maps, 3)[0]
    assert opened[4, 4] == 0
    assert opened[20, 20] == 1


def test_every_map_of_a_batch_is_smoothed_alone() -> None:
    maps = torch.from_numpy(some_maps(64, 64, count=3))
    together = smooth(maps)
    assert all(torch.allclose(together[row], smooth(maps[row : row + 1])[0], atol=1e-6) for row in range(3))


def test_saliency_adds_absolute_values_over_the_colours() -> None:
    gradients = torch.tensor([[[[1.0]], [[-2.0]], [[0.5]]]])
    assert saliency(gradients).tolist() == [[[3.5]]]
