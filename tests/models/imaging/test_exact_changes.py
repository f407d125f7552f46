"""Exact changes only move pixels, and it is the picture that is changed: tiles and regions stay where they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.imaging.decode import decode_image
from models.imaging.exact_changes import EXACT_CHANGES
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions
from models.imaging.tiling import Tiling
from tests.conftest import png

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
STRETCHED = Preprocessing(image_size=32, version=2)
TILED = Preprocessing(
    image_size=32, resize="tiles", tiles=Tiling(side=32, overlap=8, width=64, height=48, version=2), version=2
)
SAME_SHAPE = ["left to right", "upside down", "turned by 180"]


def test_the_eight_changes_differ_and_one_after_the_other_is_again_one_of_them() -> None:
    square = PIXELS[:, :48]
    found = {name: change(square).tobytes() for name, change in EXACT_CHANGES.items()}
    assert len(set(found.values())) == 8
    for first, second in itertools.product(EXACT_CHANGES.values(), repeat=2):
        assert second(first(square)).tobytes() in found.values()


def test_no_value_is_new_and_channels_stay() -> None:
    for change in EXACT_CHANGES.values():
        changed = change(PIXELS)
        assert sorted(map(tuple, changed.reshape(-1, 3).tolist())) == sorted(map(tuple, PIXELS.reshape(-1, 3).tolist()))


@pytest.mark.parametrize("preprocessing", [STRETCHED, TILED], ids=["stretched", "tiles"])
def test_the_views_are_those_of_the_changed_picture(preprocessing: Preprocessing) -> None:
    views = PictureViews(preprocessing)
    changes = [EXACT_CHANGES[name] for name in SAME_SHAPE]
    found = list(views.prepare_changed(png(PIXELS), changes))
    for change, picture in zip(changes, found, strict=True):
        expected = views.prepare_file(png(np.ascontiguousarray(change(decode_image(png(PIXELS))))))
        assert len(picture.views) == views.count
        assert all(np.array_equal(one, other) for one, other in zip(picture.views, expected.views, strict=True))


def test_regions_stay_at_their_places() -> None:
    mask = np.zeros((48, 64), bool)
    mask[:, 32:] = True
    views = PictureViews(STRETCHED, Regions(mask))
    (mirrored,) = views.prepare_changed(png(PIXELS), [EXACT_CHANGES["left to right"]])
    ignored, seen = np.split(mirrored.views[0], 2, axis=2)
    assert np.ptp(ignored, axis=2).max() == 0, "what is not looked at is filled from the mask's edge"
    (whole,) = PictureViews(STRETCHED).prepare(np.ascontiguousarray(PIXELS[:, ::-1])).views
    assert np.array_equal(seen, whole[:, :, 16:])
