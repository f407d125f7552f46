"""One painted defect: the same by seed, where the mask says, of the size and contrast that it says."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from models.imaging.decode import Pixels
from trainer.painted.kinds import KINDS
from trainer.painted.paint import ALL_KINDS, LEAST_CONTRAST, LEAST_PIXELS, SIZES, VISIBLE, paint
from trainer.painted.scene import CannotPaint, white_level

NEEDS_TEXTURE = {"blur", "doubled", "missing", "warp", "pasted", "strip", "swapped"}


def textured(height: int = 96, width: int = 128, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A colour picture with edges, a gradient and noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = 40 * np.sin(rows / 5) * np.cos(columns / 7) + 0.4 * columns
    picture = 90 + waves[..., None] * np.array([1.0, 0.8, 0.6]) + random.normal(0, 2, (height, width, 3))
    picture[height // 4 : height // 2, width // 4 : width // 2] += 60
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.repeat(pixels[..., :1], 3, axis=2)


def steps(before: Pixels, after: Pixels) -> npt.NDArray[np.int64]:
    """(H, W): the largest change among the channels."""
    return np.asarray(np.abs(after.astype(np.int64) - before.astype(np.int64)).max(axis=2))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_same_generator_paints_the_same_defect(kind: str) -> None:
    first, second = (paint(textured(), np.random.default_rng(4), kind) for _ in range(2))
    other = paint(textured(), np.random.default_rng(5), kind)
    assert (first.pixels == second.pixels).all()
    assert (first.mask == second.mask).all()
    assert (first.pixels != other.pixels).any()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_mask_is_where_pixels_change_by_a_visible_amount(kind: str) -> None:
    before = textured()
    for seed in range(5):
        painted = paint(before, np.random.default_rng(seed), kind)
        change = steps(before, painted.pixels)
        assert (painted.mask == (change >= VISIBLE * 255)).all()
        assert painted.size_share == pytest.approx(painted.mask.mean())
        assert painted.contrast == pytest.approx(change[painted.mask].mean() / 255)
        assert painted.kind == kind


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_sizes_and_contrasts_lie_in_their_ranges(kind: str) -> None:
    for seed in range(8):
        painted = paint(textured(), np.random.default_rng(seed), kind)
        assert SIZES[0] <= painted.size_share <= SIZES[1]
        assert LEAST_CONTRAST <= painted.contrast <= ALL_KINDS[kind].strongest + 0.01


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_an_asked_size_is_met_within_the_tolerance(kind: str) -> None:
    for size in (ALL_KINDS[kind].least, ALL_KINDS[kind].most):
        painted = paint(textured(), np.random.default_rng(2), kind, size)
        assert size / 1.61 <= painted.size_share <= size * 1.61


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_picture_of_16_bits_stays_one_and_is_not_written_to(kind: str) -> None:
    before = (textured().astype(np.uint16) * 16).clip(0, 4095)
    kept = before.copy()
    painted = paint(before, np.random.default_rng(1), kind)
    assert (before == kept).all()
    assert painted.pixels.dtype == np.uint16
    assert painted.pixels.shape == before.shape
    assert painted.pixels.max() <= 4095
    assert (painted.mask == (steps(before, painted.pixels) >= VISIBLE * 4095)).all()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_grey_picture_stays_grey(kind: str) -> None:
    painted = paint(grey(textured()), np.random.default_rng(3), kind, others=[textured(seed=1)])
    assert (painted.pixels[..., :1] == painted.pixels).all()


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (16, 600), (700, 31)])
def test_small_and_narrow_pictures_are_painted_on(shape: tuple[int, int]) -> None:
    before = textured(*shape)
    for seed in range(12):
        painted = paint(before, np.random.default_rng(seed))
        assert painted.mask.shape == shape
        assert LEAST_PIXELS <= painted.mask.sum() <= SIZES[1] * before[..., 0].size


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_on_a_flat_picture_a_kind_is_seen_or_says_that_it_cannot_be(kind: str, value: int) -> None:
    flat = np.full((64, 80, 3), value, np.uint8)
    random = np.random.default_rng(0)
    if kind in NEEDS_TEXTURE:
        with pytest.raises(CannotPaint, match=f"{kind} cannot be seen on this picture"):
            paint(flat, random, kind)
    else:
        assert paint(flat, random, kind).mask.any()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_where_no_kind_is_asked_one_that_can_be_seen_is_drawn(value: int) -> None:
    flat = np.full((64, 80, 3), value, np.uint8)
    kinds = {paint(flat, np.random.default_rng(seed)).kind for seed in range(25)}
    assert len(kinds) > 3
    assert not kinds & NEEDS_TEXTURE
    assert kinds <= set(KINDS)


def test_all_sizes_are_drawn() -> None:
    shares = [paint(textured(), np.random.default_rng(seed)).size_share for seed in range(60)]
    assert min(shares) < 0.003
    assert max(shares) > 0.05


def test_other_good_pictures_serve_as_foreign_texture() -> None:
    red = np.zeros((96, 128, 3), np.uint8)
    red[::2, :, 0] = 255
    with_others = [paint(textured(), np.random.default_rng(seed), "texture", others=[red]).pixels for seed in range(12)]
    without = [paint(textured(), np.random.default_rng(seed), "texture").pixels for seed in range(12)]
    assert any((one != two).any() for one, two in zip(with_others, without, strict=True))


def test_an_unknown_kind_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no defect is called 'dent'; the kinds are blur, doubled"):
        paint(textured(), np.random.default_rng(0), "dent")


@pytest.mark.parametrize(("kind", "size"), [(None, 0.3), ("scratch", 0.09), ("tint", 0.001)])
def test_a_size_that_a_kind_does_not_come_in_is_refused_with_its_range(kind: str | None, size: float) -> None:
    with pytest.raises(ValueError, match=r"comes in 0\.\d+ to 0\.\d+ of the picture's area"):
        paint(textured(), np.random.default_rng(0), kind, size)


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 4), (20, 20, 1)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels must be \(H, W, 3\)"):
        paint(cast(Pixels, np.zeros(shape, np.uint8)), np.random.default_rng(0))


def test_the_white_level_of_16_bits_is_the_smallest_of_a_camera_that_holds_the_picture() -> None:
    assert white_level(np.full((8, 8, 3), 7, np.uint8)) == 255
    levels = [white_level(np.full((8, 8, 3), value, np.uint16)) for value in (0, 1023, 1024, 16000, 60000)]
    assert levels == [1023, 1023, 4095, 16383, 65535]
