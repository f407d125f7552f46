"""Training sets and heads that teach or see nothing are told apart from dull but good ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from models.imaging.decode import Pixels
from trainer.data_checks.pictures import check_pictures, picture_extremes
from trainer.data_checks.result import CheckResult
from trainer.data_checks.scores import check_scores, check_separation

RANDOM = np.random.default_rng(0)


def good(count: int) -> list[npt.NDArray[np.uint8]]:
    return list(RANDOM.integers(90, 130, (count, 20, 20, 3), dtype=np.uint8))


def check(pictures: Sequence[Pixels], white: int = 255) -> CheckResult:
    facts = [picture_extremes(pixels).facts(white) for pixels in pictures]
    return check_pictures(facts, [f"{number}.png" for number in range(len(pictures))])


def test_a_set_of_different_pictures_is_fine() -> None:
    assert check(good(9)) == CheckResult(False, ())


@pytest.mark.parametrize(("value", "word"), [(0, "are black"), (5, "are black"), (100, "are flat"), (255, "are flat")])
def test_mostly_empty_pictures_make_a_set_degenerate(value: int, word: str) -> None:
    empty = [np.full((20, 20, 3), value, np.uint8) for _ in range(6)]
    for number, pixels in enumerate(empty):
        pixels[0, 0] = abs(value - number)  # so that none repeats another
    found = check([*empty, *good(5)])
    assert found.degenerate
    assert word in found.words[0]
    assert "6 of 11 pictures teach nothing" in found.words[-1]


def test_some_empty_pictures_are_a_warning_that_names_them() -> None:
    found = check([*good(8), np.zeros((20, 20, 3), np.uint8)])
    assert not found.degenerate
    assert found.words == ("1 of 9 pictures are black (nothing above 2% of white): 8.png",)


def test_pictures_that_are_the_same_by_their_pixels_make_a_set_degenerate() -> None:
    one = good(1)[0]
    found = check([one.copy() for _ in range(9)] + good(2))
    assert found.degenerate
    assert "8 of 11 pictures repeat an earlier picture pixel by pixel: 1.png, 2.png, 3.png and 5 more" in found.words[0]


def test_the_same_values_in_another_shape_are_another_picture() -> None:
    one = good(1)[0]
    assert not check([one, one.reshape(10, 40, 3)]).words


def test_a_dark_picture_with_a_small_bright_part_is_not_black() -> None:
    pictures = [np.zeros((60, 60, 3), np.uint8) for _ in range(4)]
    for number, pixels in enumerate(pictures):
        pixels[10:14, 10 + number : 14 + number] = 200
    assert check(pictures) == CheckResult(False, ())


def test_hot_pixels_do_not_hide_that_a_picture_is_black() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[3, 5] = 255
    assert picture_extremes(pixels).facts(255).black


def test_a_colour_that_is_the_same_everywhere_is_flat_and_noise_is_not() -> None:
    colour = np.full((30, 30, 3), (200, 40, 90), np.uint8)
    assert picture_extremes(colour).facts(255).flat
    grained = np.clip(colour + RANDOM.normal(0, 2, colour.shape), 0, 255).astype(np.uint8)
    assert not picture_extremes(grained).facts(255).flat


def test_16_bits_are_looked_at_by_the_white_level_of_the_product() -> None:
    dim = RANDOM.integers(0, 200, (30, 30, 3)).astype(np.uint16)
    assert not picture_extremes(dim).facts(1023).black
    assert picture_extremes(dim).facts(65535).black


def test_scores_with_a_spread_are_fine() -> None:
    assert check_scores(RANDOM.normal(5, 0.01, 30).astype(np.float32)) == CheckResult(False, ())


@pytest.mark.parametrize("tied", [16, 30])
def test_scores_that_are_mostly_one_are_degenerate(tied: int) -> None:
    scores = RANDOM.normal(5, 1, 30).astype(np.float32)
    scores[:tied] = 5
    found = check_scores(scores)
    assert found.degenerate
    assert f"{tied - 1} of 30 scores" in found.words[0]


def test_two_equal_scores_among_many_are_chance() -> None:
    scores = np.linspace(1, 2, 20, dtype=np.float32)
    scores[3] = scores[4]
    assert not check_scores(scores).degenerate


def test_scores_that_are_not_numbers_are_degenerate() -> None:
    good_scores = np.array([1, 2, np.nan, 4], np.float32)
    assert "1 of 4 scores are not numbers" in check_scores(good_scores).words[0]
    assert check_separation(good_scores, good_scores).degenerate


def test_a_head_whose_painted_scores_are_higher_sees_defects() -> None:
    assert check_separation(np.arange(9, dtype=np.float32), np.arange(5, 20, dtype=np.float32)) == CheckResult(
        False, ()
    )


@pytest.mark.parametrize("painted", [np.arange(9), np.zeros(9), np.arange(9) - 3])
def test_a_head_whose_painted_scores_are_no_higher_is_degenerate(painted: npt.NDArray[np.int64]) -> None:
    found = check_separation(np.arange(9, dtype=np.float32), painted.astype(np.float32))
    assert found.degenerate
    assert "the head does not see defects" in found.words[0]


def test_nothing_to_compare_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        check_scores(np.ones(1, np.float32))
    with pytest.raises(ValueError, match="0 and 1 scores"):
        check_separation(np.ones(0, np.float32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="facts and a name"):
        check_pictures([], [])
