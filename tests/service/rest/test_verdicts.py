"""What an entry says: decisions, thresholds, maps; and that nothing is ever OK unless it was judged."""

from __future__ import annotations

import asyncio
import base64
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from models.calibration.tail import Replicate, Tail
from service.engine.engine import TimedJudgement
from service.errors import DeadlineExceeded, InferenceFailed, NotReady, ShuttingDown

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeRegistry, FakeVersion, House, OpenHouse, Picture


def unpack(text: str) -> Any:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text, validate=True), np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(("brightness", "decision"), [(0.2, "OK"), (0.78, "REVIEW"), (0.95, "NG")])
def test_an_entry_carries_score_threshold_origin_and_decision(
    house: House, picture: Picture, brightness: float, decision: str
) -> None:
    (entry,) = house.score(picture(brightness)).json()["results"]
    assert entry["decision"] == decision
    assert entry["product"] == "screw"
    assert entry["artifact"] == {"version": "1", "method": "mkd", "hash": "ab" * 32}
    assert 0 < entry["p_value"] <= 1
    assert "split-conformal" in entry["threshold_origin"]
    assert entry["review_threshold"] < entry["threshold"]
    assert set(entry["timing"]) == {"decode_ms", "queue_ms", "device_ms", "encode_ms", "total_ms"}
    assert entry["timing"]["total_ms"] >= entry["timing"]["decode_ms"]
    assert "map" not in entry


def test_review_off_decides_between_ok_and_ng_only(house: House, picture: Picture) -> None:
    (entry,) = house.score(picture(0.78), path="/score?review=off").json()["results"]
    assert entry["decision"] == "OK"
    assert "review_threshold" not in entry


def test_max_false_reject_moves_the_threshold_by_the_stored_calibration(house: House, picture: Picture) -> None:
    (stored,) = house.score(picture(0.7)).json()["results"]
    (strict,) = house.score(picture(0.7), path="/score?max_false_reject=0.2").json()["results"]
    assert (stored["decision"], strict["decision"]) == ("OK", "NG")
    assert strict["threshold"] < stored["threshold"]


def test_a_rate_that_the_calibration_cannot_promise_is_refused(house: House, picture: Picture) -> None:
    response = house.score(picture(), path="/score?max_false_reject=0.001")
    assert response.status_code == 422
    assert response.json()["code"] == "rate_not_promised"
    assert "0.005" in response.json()["detail"]
    assert house.engine.judged == []


def test_a_rate_that_a_fitted_tail_speaks_of_is_answered_as_an_estimate(
    open_house: OpenHouse, fake_registry: type[FakeRegistry], fake_version: type[FakeVersion], picture: Picture
) -> None:
    replicates = tuple(Replicate(0.2, 0.1, 0.1) for _ in range(20))
    tail = Tail(start=0.7, share=0.2, shape=0.1, scale=0.1, exceedances=40, replicates=replicates)
    version = fake_version()
    fitted = replace(version, calibration=version.calibration.model_copy(update={"tail": tail}))
    house = open_house(registry=fake_registry(fitted))
    (entry,) = house.score(picture(), path="/score?max_false_reject=0.001").json()["results"]
    assert entry["threshold_origin"].startswith("tail fit on the upper 40 of 199")
    assert entry["threshold"] == pytest.approx(tail.score(0.001))
    assert house.score(picture()).json()["results"][0]["threshold_origin"].startswith("counted")
    refused = house.score(picture(), path="/score?max_false_reject=0.0004")
    assert refused.json()["code"] == "rate_not_promised"
    assert "none under 0.0005 fitted" in refused.json()["detail"]


def test_an_entry_names_the_member_of_a_combined_head_that_decided(house: House, picture: Picture) -> None:
    async def combined(row: Any) -> TimedJudgement:
        return TimedJudgement(0.1, None, 0.0, 0.0, 1, "padim")

    assert "decided_by" not in house.score(picture()).json()["results"][0]
    house.engine.answer = combined
    assert house.score(picture()).json()["results"][0]["decided_by"] == "padim"


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_an_error_and_never_ok(house: House, picture: Picture, score: float) -> None:
    async def nonsense(row: Any) -> TimedJudgement:
        return TimedJudgement(score, None, 0.0, 0.0, 1)

    house.engine.answer = nonsense
    response = house.score(picture())
    assert response.status_code == 500
    assert response.json()["code"] == "inference_failed"
    assert "decision" not in response.text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_map_that_is_not_made_of_numbers_is_an_error(house: House, picture: Picture, value: float) -> None:
    async def nonsense(row: Any) -> TimedJudgement:
        return TimedJudgement(0.1, np.full((32, 32), value, np.float32), 0.0, 0.0, 1)

    house.engine.answer = nonsense
    assert house.score(picture(), path="/localize").json()["code"] == "inference_failed"


def test_a_map_that_was_asked_for_and_did_not_come_is_an_error(house: House, picture: Picture) -> None:
    async def forgetful(row: Any) -> TimedJudgement:
        return TimedJudgement(0.1, None, 0.0, 0.0, 1)

    house.engine.answer = forgetful
    assert house.score(picture(), path="/localize").json()["code"] == "inference_failed"


def test_one_failed_image_is_an_error_among_verdicts(house: House, picture: Picture) -> None:
    async def moody(row: Any) -> Any:
        return InferenceFailed("no") if row.image.mean() > 0.5 else await house.engine.brightness(row)

    house.engine.answer = moody
    response = house.score(picture(0.1), picture(0.9))
    assert response.status_code == 200
    first, second = response.json()["results"]
    assert first["decision"] == "OK"
    assert second["error"]["code"] == "inference_failed"
    assert "decision" not in second


def test_an_exception_nobody_expected_is_answered_for_its_image_alone(house: House, picture: Picture) -> None:
    async def broken(row: Any) -> Any:
        if row.image.mean() > 0.5:
            raise ZeroDivisionError("secret detail")
        return await house.engine.brightness(row)

    house.engine.answer = broken
    response = house.score(picture(0.1), picture(0.9))
    first, second = response.json()["results"]
    assert first["decision"] == "OK"
    assert second["error"]["code"] == "inference_failed"
    assert "secret detail" not in response.text


@pytest.mark.parametrize(
    ("error", "status"),
    [(DeadlineExceeded("late"), 504), (InferenceFailed("no"), 500), (NotReady("no"), 503), (ShuttingDown("no"), 503)],
)
def test_a_request_of_which_nothing_was_judged_has_the_status_of_the_reason(
    house: House, picture: Picture, error: Exception, status: int
) -> None:
    async def fail(row: Any) -> Any:
        return error

    house.engine.answer = fail
    response = house.score(picture(), b"not an image")
    assert response.status_code == status
    assert house.engine.metrics.value("mkd_images_total", outcome="image_unreadable") == 1
    assert ("Retry-After" in response.headers) == (status == 503)


def test_localize_adds_a_map_of_the_inputs_size_with_its_scale(house: House, picture: Picture) -> None:
    (entry,) = house.score(picture(0.75, size=(60, 36)), path="/localize").json()["results"]
    grey = unpack(entry["map"])
    assert grey.shape == (36, 60)
    assert grey.dtype == np.uint8
    assert grey.min() >= 128
    assert entry["map_scale"] == {"low": 0.0, "high": 1.0, "threshold": 0.5, "grey_at_threshold": 128}
    (region,) = entry["regions"]
    assert region["box"] == [0, 0, 60, 36]
    assert region["area_px"] == 60 * 36
    assert region["area_share"] == 1.0
    assert region["peak"] == pytest.approx(0.75, abs=0.01)
    assert "overlay" not in entry
    assert "mask" not in entry


def test_a_map_full_of_spots_names_the_hundred_hottest(house: House, picture: Picture) -> None:
    spots = np.zeros((32, 32), np.float32)
    spots[::2, ::2] = np.linspace(0.6, 0.9, 256).reshape(16, 16)

    async def spotted(row: Any) -> TimedJudgement:
        return TimedJudgement(0.9, spots, 0.0, 0.0, 1)

    house.engine.answer = spotted
    (entry,) = house.score(picture(), path="/localize").json()["results"]
    peaks = [region["peak"] for region in entry["regions"]]
    assert len(peaks) == 100
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] == pytest.approx(0.9)


def test_a_quiet_map_has_no_regions(house: House, picture: Picture) -> None:
    (entry,) = house.score(picture(0.1), path="/localize").json()["results"]
    assert entry["regions"] == []
    assert unpack(entry["map"]).max() < 128


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_overlay_and_mask_come_where_they_are_asked_for(house: House, picture: Picture, mode: str) -> None:
    path = "/localize?overlay=true&mask=true"
    (entry,) = house.score(picture(0.9, mode=mode, size=(60, 36)), path=path).json()["results"]
    assert unpack(entry["overlay"]).shape == (36, 60, 3)
    assert np.unique(unpack(entry["mask"])).tolist() == [255]


def test_an_overlay_comes_in_the_style_that_is_asked_for(house: House, picture: Picture) -> None:
    shown = {}
    for style in ("false", "true", "on", "heat", "outline"):
        answer = house.score(picture(0.9, size=(60, 36)), path=f"/localize?overlay={style}").json()["results"][0]
        shown[style] = answer.get("overlay")
    assert shown["false"] is None
    assert shown["true"] == shown["on"] == shown["heat"] != shown["outline"] is not None
    refused = house.score(picture(), path="/localize?overlay=line")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "query.overlay: Input should be 'false', 'true', 'heat' or 'outline'"


def test_score_does_not_ask_for_maps_and_localize_does(house: House, picture: Picture) -> None:
    house.score(picture())
    house.score(picture(), path="/localize")
    assert [row.wants_map for row in house.engine.judged] == [False, True]


def test_an_unknown_product_is_told_which_there_are(house: House, picture: Picture) -> None:
    response = house.score(picture(), path="/score?product=nut")
    assert response.status_code == 404
    assert response.json()["code"] == "product_not_found"
    assert "screw" in response.json()["detail"]


def test_the_product_must_be_named_where_there_are_two(
    open_house: OpenHouse, fake_registry: type[FakeRegistry], fake_version: type[FakeVersion], picture: Picture
) -> None:
    house = open_house(registry=fake_registry(fake_version("nut"), fake_version("bolt")))
    assert house.score(picture()).json()["code"] == "product_required"
    (entry,) = house.score(picture(), path="/score?product=bolt").json()["results"]
    assert entry["product"] == "bolt"


def test_the_lease_ends_with_the_request_whatever_happens(house: House, picture: Picture) -> None:
    house.score(picture())
    house.post("/score", content=b"", headers={"Content-Type": "multipart/form-data; boundary=x"})
    house.score(picture(), path="/score?max_false_reject=0.001")
    assert house.registry.leased == 0
    assert house.engine.admission.images == 0
    assert house.engine.admission.size == 0


def test_images_of_one_request_are_in_the_engine_together(house: House, picture: Picture) -> None:
    together = asyncio.Event()

    async def wait_for_company(row: Any) -> Any:
        if len(house.engine.judged) == 3:
            together.set()
        await together.wait()
        return await house.engine.brightness(row)

    house.engine.answer = wait_for_company
    assert len(house.score(picture(), picture(), picture()).json()["results"]) == 3
