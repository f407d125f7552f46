"""PRO against a slow computation that follows its definition word for word, AUROC against pairs, rates by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from trainer.metrics import auroc, pixel_auroc, pro, rate

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float32]


def slow_pro(masks: Sequence[Mask], maps: Sequence[Map], limit: float) -> float:
    """Every distinct value as a threshold; each region's overlap; trapezoids up to the limit, cut exactly there."""
    good_pixels = np.concatenate([values[~mask] for mask, values in zip(masks, maps, strict=True)])
    regions = []
    for mask, values in zip(masks, maps, strict=True):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [values[labels == one] for one in range(1, count + 1)]
    area, x0, y0 = 0.0, 0.0, 0.0
    for threshold in np.unique(np.concatenate([values.ravel() for values in maps]))[::-1]:
        x1 = float((good_pixels >= threshold).mean())
        y1 = float(np.mean([(region >= threshold).mean() for region in regions]))
        if x1 >= limit:
            last = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            return (area + (limit - x0) * (y0 + last) / 2) / limit
        area, x0, y0 = area + (x1 - x0) * (y0 + y1) / 2, x1, y1
    return area / limit


def spotted(seed: int, strength: float) -> tuple[list[Mask], list[Map]]:
    """Four images with one to three regions and maps that know of them by `strength`."""
    random = np.random.default_rng(seed)
    masks, maps = [], []
    for number in range(4):
        mask = np.zeros((32, 32), bool)
        for _ in range(number):
            y, x = random.integers(0, 26, 2)
            mask[y : y + random.integers(2, 6), x : x + random.integers(2, 6)] = True
        masks.append(mask)
        maps.append((random.random((32, 32)) + strength * mask * random.random()).astype(np.float32))
    return masks, maps


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("limit", [0.3, 0.05])
def test_pro_is_the_slow_computations(seed: int, strength: float, limit: float) -> None:
    masks, maps = spotted(seed, strength)
    assert pro(masks, maps, limit) == pytest.approx(slow_pro(masks, maps, limit), abs=0.01)


def one_image(
    regions: Sequence[tuple[slice, slice]], lit: Sequence[tuple[slice, slice]]
) -> tuple[list[Mask], list[Map]]:
    mask, values = np.zeros((20, 20), bool), np.random.default_rng(0).random((20, 20)).astype(np.float32)
    for place in regions:
        mask[place] = True
        values[place] = -1
    for place in lit:
        values[place] = 2
    return [mask], [values]


LARGE, SMALL = (slice(0, 8), slice(0, 8)), (slice(15, 17), slice(15, 17))


def test_a_perfect_map_has_a_pro_of_one() -> None:
    assert pro(*one_image([LARGE, SMALL], [LARGE, SMALL])) == 1.0


def test_a_map_that_misses_everything_has_a_pro_of_zero() -> None:
    assert pro(*one_image([LARGE, SMALL], [])) == 0.0


def test_a_map_that_is_the_same_everywhere_finds_nothing() -> None:
    masks, _ = one_image([LARGE, SMALL], [])
    assert pro(masks, [np.full((20, 20), 0.7, np.float32)]) == 0.0


def test_a_small_region_counts_as_much_as_a_large_one() -> None:
    assert pro(*one_image([LARGE, SMALL], [SMALL])) == pytest.approx(0.5)
    assert pro(*one_image([LARGE, SMALL], [LARGE])) == pytest.approx(0.5)


def test_half_a_region_found_counts_half() -> None:
    assert pro(*one_image([LARGE], [(slice(0, 4), slice(0, 8))])) == pytest.approx(0.5)


def test_regions_that_touch_at_a_corner_are_one() -> None:
    corner = (slice(8, 10), slice(8, 10))
    assert pro(*one_image([LARGE, corner], [corner])) == pytest.approx(4 / 68)


def test_pro_without_a_region_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one defect region"):
        pro([np.zeros((4, 4), bool)], [np.zeros((4, 4), np.float32)])


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    random = np.random.default_rng(0)
    anomalous = random.random(40) < 0.4
    scores = np.round(random.random(40) + 0.3 * anomalous, 1).astype(np.float32)  # with ties
    pairs = [(bad > good) + 0.5 * (bad == good) for bad in scores[anomalous] for good in scores[~anomalous]]
    assert auroc(anomalous, scores) == pytest.approx(np.mean(pairs))


def test_pixel_auroc_is_over_all_pixels_of_all_images_good_ones_included() -> None:
    masks, maps = spotted(1, 0.5)
    labels = np.concatenate([mask.ravel() for mask in masks])
    assert pixel_auroc(masks, maps) == auroc(labels, np.concatenate([values.ravel() for values in maps]))
    quiet = [np.zeros((32, 32), np.float32)]
    more = pixel_auroc([*masks, np.zeros((32, 32), bool)], [*maps, *quiet])
    assert more > pixel_auroc(masks, maps)


def test_rates_come_with_their_exact_interval() -> None:
    found = rate(0, 20)
    assert (found.share, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))  # Clopper-Pearson of no hit
    assert rate(20, 20).high == 1.0
    assert rate(3, 20).low < 3 / 20 < rate(3, 20).high
