"""GET /products/{name}/drift tells the state in figures and words; an operator may begin the watch anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.drift.monitor import DriftRules
from service.drift.observer import DriftObserver
from service.metrics import Metrics

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

Ask = Callable[[float, int], dict[str, Any]]


@pytest.fixture
def watched(open_house: OpenHouse) -> House:
    """A house whose drift is watched; its score is the brightness, calibrated evenly from 0 to 0.8."""
    return open_house(observers=(DriftObserver(DriftRules(alarm_parts=100_000), Metrics(), rate=1e9),))


@pytest.fixture
def after(watched: House, picture: Picture) -> Ask:
    """Judge so many parts of about this brightness; then the drift reply."""

    def ask(brightness: float, parts: int) -> dict[str, Any]:
        lights = np.random.default_rng(0).uniform(0.9, 1.1, size=parts) * brightness
        before = watched.get("/products/screw/drift").json()["parts"]
        for start in range(0, parts, 20):
            watched.score(*[picture(light, size=(32, 32)) for light in lights[start : start + 20]])
            while (reply := dict(watched.get("/products/screw/drift").json()))["parts"] < before + min(
                parts, start + 20
            ):
                time.sleep(0.001)
        return reply

    return ask


def test_before_the_first_part_nothing_is_claimed(watched: House) -> None:
    reply = watched.get("/products/screw/drift").json()
    assert reply["state"] == "no parts yet"
    assert reply["input_statistics"] == "unknown"
    assert reply["watches"] == []


def test_parts_that_score_higher_are_drift_in_words_and_figures(after: Ask) -> None:
    reply = after(0.75, 60)
    assert reply["state"] == "drift"
    assert reply["parts"] == 60
    assert reply["input_statistics"] == "not recorded"
    (score,) = reply["watches"]
    assert score["watched"] == "score"
    assert score["towards"] == "higher"
    assert score["evidence"] >= reply["alarm_level"] == 5
    assert score["since_part"] < score["raised_at_part"] <= 60
    assert score["recent_median"] > 0.7 > score["calibration_median"]
    assert reply["words"].startswith("score is higher than on the calibration images since about ")
    assert reply["words"].endswith("The artifact has not recorded the input's statistics: only its score is watched.")


def test_few_usual_parts_are_steady(after: Ask) -> None:
    reply = after(0.4, 2)
    assert reply["state"] == "steady"
    assert reply["words"].startswith("In 2 parts nothing speaks for drift.")
    assert reply["watches"][0]["towards"] is None


def test_an_operator_begins_anew(watched: House, after: Ask) -> None:
    assert after(0.75, 60)["state"] == "drift"
    assert watched.post("/admin/products/screw/drift/reset").json()["state"] == "no parts yet"
    assert watched.get("/products/screw/drift").json()["parts"] == 0


def test_a_product_that_is_not_there_is_404(watched: House) -> None:
    for answer in (watched.get("/products/nut/drift"), watched.post("/admin/products/nut/drift/reset")):
        assert answer.status_code == 404
        assert answer.json()["code"] == "product_not_found"


def test_where_drift_is_switched_off_the_reply_says_so(open_house: OpenHouse) -> None:
    reply = open_house(drift=False).get("/products/screw/drift").json()
    assert reply["state"] == "off"
    assert reply["words"] == "Drift is not watched: the setting drift is off."
