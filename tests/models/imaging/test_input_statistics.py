"""What is measured of an input follows light, lens and place, and is kept with the artifact in a checked form."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from models.imaging.input_statistics import STATISTICS, InputStatistics, collect, measure
from models.imaging.preprocess import Prepared


def part() -> Prepared:
    """(3, 64, 64): a dark bar with grain on a light ground."""
    image = np.full((64, 64), 0.8) + np.random.default_rng(0).normal(0, 0.03, size=(64, 64))
    image[20:40, 10:30] -= 0.5
    return np.stack([image] * 3).astype(np.float32)


def measured(image: Prepared, width: int = 100, height: int = 50) -> dict[str, float]:
    return dict(zip(STATISTICS, measure(image, width, height).tolist(), strict=True))


def test_known_pictures_have_known_numbers() -> None:
    image = np.zeros((3, 32, 32), dtype=np.float32)
    assert list(measured(image).values()) == [0, 0, 0, 0.5, 0.5, 2, 5000]
    image[:, :, 16:] = 1
    half = measured(image)
    assert half["brightness"] == pytest.approx(0.5)
    assert half["contrast"] == pytest.approx(0.5)


def test_less_light_is_less_bright_and_has_less_contrast() -> None:
    usual, dim = measured(part()), measured(part() * np.float32(0.9))
    assert dim["brightness"] == pytest.approx(0.9 * usual["brightness"], rel=1e-5)
    assert dim["contrast"] == pytest.approx(0.9 * usual["contrast"], rel=1e-5)
    assert dim["centre_x"] == pytest.approx(usual["centre_x"], abs=1e-5)


def test_a_lens_out_of_focus_is_less_sharp_at_the_same_brightness() -> None:
    blurred = np.stack([cv2.GaussianBlur(channel, (0, 0), 1.0) for channel in part()])
    assert measured(blurred)["sharpness"] < 0.2 * measured(part())["sharpness"]
    assert measured(blurred)["brightness"] == pytest.approx(measured(part())["brightness"], rel=0.01)


def test_a_part_that_lies_elsewhere_has_its_centre_elsewhere() -> None:
    usual, moved = measured(part()), measured(np.roll(part(), 8, axis=2))
    assert moved["centre_x"] > usual["centre_x"] + 0.05
    assert moved["centre_y"] == pytest.approx(usual["centre_y"], abs=0.01)


def test_what_is_kept_is_sorted_finite_and_of_one_length() -> None:
    kept = collect([measure(part() * np.float32(light), 10, 10) for light in (0.9, 0.5, 1.0)])
    assert set(kept.values) == set(STATISTICS)
    assert list(kept.values["brightness"]) == sorted(kept.values["brightness"])
    assert InputStatistics.model_validate_json(kept.model_dump_json()) == kept


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"brightness": (0.2, 0.1)},
        {"brightness": (0.1, float("nan"))},
        {"brightness": (1.0,), "contrast": (1.0, 2.0)},
    ],
)
def test_anything_else_is_refused(values: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValidationError):
        InputStatistics(values=values)


def test_a_size_counts_as_seen_between_the_smallest_and_largest_and_at_the_rounding_of_what_is_kept() -> None:
    one = collect([measure(part(), 4095, 2731)] * 2)  # 11183445 pixels have more digits than are kept
    assert one.has_size(4095, 2731)
    assert not one.has_size(2731, 4095)
    assert not one.has_size(4096, 2731)
    several = collect([measure(part(), 100, 100), measure(part(), 300, 200)])
    assert several.has_size(200, 160)
    assert not several.has_size(400, 300)
    assert not several.has_size(200, 100)
    assert InputStatistics(values={"brightness": (0.5,)}).has_size(100, 100) is None
