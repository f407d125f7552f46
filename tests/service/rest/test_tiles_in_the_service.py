"""A picture in tiles is one verdict, and admission counts its tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.imaging.preprocess import Preprocessing
from models.imaging.tiling import Tiling

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, FakeRegistry, FakeVersion, House, OpenHouse, Picture

SIX = Tiling(side=32, overlap=0, width=96, height=64)


def tiled_house(
    open_house: OpenHouse,
    engine: type[FakeEngine],
    registry: type[FakeRegistry],
    version: type[FakeVersion],
    most: int,
) -> House:
    tiled = version(preprocessing=Preprocessing(image_size=32, resize="tiles", tiles=SIX, version=2))
    return open_house(engine=engine(max_images=most), registry=registry(tiled), max_images=2, max_waiting_images=most)


def test_a_picture_in_tiles_gets_one_verdict_and_one_map(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    picture: Picture,
) -> None:
    house = tiled_house(open_house, fake_engine, fake_registry, fake_version, 64)
    (entry,) = house.score(picture(0.9, size=(96, 64)), path="/localize").json()["results"]
    assert entry["decision"] == "NG"
    assert (entry["image"]["width"], entry["image"]["height"]) == (96, 64)
    assert entry["regions"][0]["box"] == [0, 0, 96, 64]
    assert entry["tile"] == [0, 0, 32, 32]
    assert len(house.engine.judged) == SIX.count == 6


def test_a_picture_of_another_size_is_an_error_of_its_own(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    picture: Picture,
) -> None:
    house = tiled_house(open_house, fake_engine, fake_registry, fake_version, 64)
    wrong, right = house.score(picture(size=(64, 64)), picture(size=(96, 64))).json()["results"]
    assert wrong["error"]["code"] == "image_size_unexpected"
    assert right["decision"] == "OK"


def test_tiles_are_what_admission_counts(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    picture: Picture,
) -> None:
    house = tiled_house(open_house, fake_engine, fake_registry, fake_version, 8)
    one = picture(size=(96, 64))
    assert house.score(one).status_code == 200
    refused = house.score(one, one)
    assert refused.status_code == 413
    assert refused.json()["code"] == "too_many_images"
    assert house.engine.admission.images == 0


def test_the_answer_names_the_tile_that_decided(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
) -> None:
    house = tiled_house(open_house, fake_engine, fake_registry, fake_version, 64)
    pixels = np.full((64, 96, 3), 30, np.uint8)
    pixels[40:60, 70:90] = 255
    (entry,) = house.score(cv2.imencode(".png", pixels)[1].tobytes()).json()["results"]
    assert entry["tile"] == [64, 32, 32, 32]
