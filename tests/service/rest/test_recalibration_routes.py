"""Recalibrations and what-ifs by HTTP: proposed, refused in words, one at a time, and only by whom it is allowed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.auth import new_key
from service.feedback.observer import FeedbackObserver
from service.feedback.recalibration import recalibrator
from service.feedback.recalibration.records import begin
from service.feedback.settings import FeedbackSettings
from service.metrics import Metrics

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse

BEGAN = 1_800_000_000.0
HASH = "ab" * 32
PATH = "/products/screw/recalibrations"


@pytest.fixture
def observer(tmp_path: Path) -> FeedbackObserver:
    """A feedback store of its own."""
    return FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), Metrics())


@pytest.fixture
def house(open_house: OpenHouse, observer: FeedbackObserver) -> House:
    """An application with a feedback store."""
    return open_house(observers=(observer,))


def filled(observer: FeedbackObserver, count: int = 1000, *, share: float = 0.1, of: str = HASH) -> None:
    """Verdicts of good parts whose scores have risen by 0.1, all of which were judged that were to be."""
    random = np.random.default_rng(0)
    rows = [row(number, score, share, of) for number, score in enumerate(random.uniform(0.1, 0.9, count))]
    for one, drawn in zip(rows, random.random(count) < share, strict=True):
        one["spot_check"] = bool(drawn)
    observer.store.add(rows)
    with observer.store.open().writing() as connection:
        connection.exec_driver_sql("UPDATE verdicts SET judged = 'good' WHERE spot_check = 1 OR decision <> 'OK'")


def row(number: int, score: float, share: float, of: str) -> dict[str, object]:
    return {
        "at": BEGAN + number,
        "request_id": f"r{number}",
        "image_index": 0,
        "product": "screw",
        "version": "1",
        "method": "mkd",
        "hash": of,
        "score": float(score),
        "p_value": 0.5,
        "threshold": 0.8,
        "review_threshold": 0.76,
        "decision": "NG" if score > 0.8 else "REVIEW" if score > 0.76 else "OK",
        "width": 40,
        "height": 24,
        "spot_check": False,
        "spot_check_share": share,
    }


def ended(house: House, number: int) -> dict[str, Any]:
    """The recalibration, once it does not run any more."""
    for _ in range(400):
        found: dict[str, Any] = house.get(f"{PATH}/{number}").json()
        if found["state"] != "running":
            return found
        time.sleep(0.02)
    raise AssertionError("it runs on")


def test_a_proposal_says_what_it_would_do(house: House, observer: FeedbackObserver) -> None:
    filled(observer)
    begun = house.post(PATH, json={"max_false_reject": 0.02})
    assert begun.status_code == 202
    assert begun.json()["state"] == "running"
    found = ended(house, begun.json()["id"])
    assert found["state"] == "ready", found["reason"]
    assert (found["by"], found["from_version"], found["to_version"]) == ("anonymous", "1", None)
    assert found["rate_promised"] == 0.02
    assert found["before"]["ng"] == pytest.approx(0.8, abs=0.01)
    assert found["after"]["ng"] == pytest.approx(0.885, abs=0.01)
    assert found["after"]["review"] < found["after"]["ng"]
    assert found["parts"]["inspected"] == 1000
    assert found["parts"]["used"] + found["parts"]["held_back"] == found["parts"]["confirmed"]
    assert found["held_back"]["rejected_after"] < found["held_back"]["rejected_before"]
    assert found["changed"]["now_ok"] > 20
    assert house.get(PATH).json() == {"recalibrations": [found]}


def test_a_refusal_says_why_and_which_window_would_do(house: House, observer: FeedbackObserver) -> None:
    filled(observer)
    with observer.store.open().writing() as connection:
        connection.exec_driver_sql("UPDATE verdicts SET judged = '' WHERE decision = 'NG' AND id > 900")
    found = ended(house, house.post(PATH).json()["id"])
    assert found["state"] == "refused"
    assert "no judgement yet" in found["reason"]
    assert found["after"] is None
    until = found["suggested"]["until"]
    assert until is not None
    again = ended(house, house.post(PATH, json={"until": until}).json()["id"])
    assert again["state"] == "ready", again["reason"]
    assert again["until"] == until


def test_parts_of_another_version_are_not_taken(house: House, observer: FeedbackObserver) -> None:
    filled(observer, of="cd" * 32)
    found = ended(house, house.post(PATH).json()["id"])
    assert found["state"] == "refused"
    assert "1000 were judged by other versions" in found["reason"]
    assert found["suggested"] is None  # no other window would do


def test_a_window_begins_where_no_unjudged_verdict_has_left_the_store(house: House, observer: FeedbackObserver) -> None:
    """Retention removes those first: what is left of their time would be a biased sample."""
    filled(observer)
    with observer.store.open().writing() as connection:
        connection.exec_driver_sql("DELETE FROM verdicts WHERE judged = '' AND id <= 300")
    found = ended(house, house.post(PATH).json()["id"])
    assert found["state"] == "ready", found["reason"]
    assert found["parts"]["inspected"] == pytest.approx(700, abs=3)
    with observer.store.open().writing() as connection:
        connection.exec_driver_sql("DELETE FROM verdicts WHERE judged = ''")
    assert "has judged no part" in ended(house, house.post(PATH).json()["id"])["reason"]


def test_one_of_a_product_runs_at_a_time_in_whichever_process(house: House, observer: FeedbackObserver) -> None:
    filled(observer)
    values = {"at": time.time(), "by": "of another process", "product": "screw", "from_version": "1", "from_hash": HASH}
    with observer.store.open().writing() as connection:
        other = begin(connection, values)
    refused = house.post(PATH)
    assert (refused.status_code, refused.json()["code"]) == (409, "recalibration_running")
    assert f"recalibration {other.id}" in refused.json()["detail"]
    with observer.store.open().writing() as connection:
        connection.exec_driver_sql(f"UPDATE recalibrations SET at = at - 3600 WHERE id = {other.id}")
    assert house.post(PATH).status_code == 202
    dead = house.get(f"{PATH}/{other.id}").json()
    assert (dead["state"], dead["reason"]) == ("failed", "the process that worked on it has ended")


def test_a_fault_is_told_and_leaves_room_for_the_next(
    house: House, observer: FeedbackObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(observer)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(recalibrator, "computed", broken)
        found = ended(house, house.post(PATH).json()["id"])
    assert (found["state"], found["reason"]) == ("failed", "the service has a fault; it is logged")
    assert ended(house, house.post(PATH).json()["id"])["state"] == "ready"


def test_what_is_not_ready_is_not_applied(house: House, observer: FeedbackObserver) -> None:
    filled(observer, 50)
    number = house.post(PATH).json()["id"]
    assert ended(house, number)["state"] == "refused"
    refused = house.post(f"{PATH}/{number}/apply")
    assert (refused.status_code, refused.json()["code"]) == (409, "recalibration_not_ready")
    missing = house.post(f"{PATH}/77/apply")
    assert (missing.status_code, missing.json()["code"]) == (404, "recalibration_not_found")


@pytest.mark.parametrize(
    "body", [{"max_false_reject": 0}, {"max_false_reject": 0.1, "review_rate": 0.05}, {"rate": 0.1}, {"since": "soon"}]
)
def test_a_body_that_is_wrong_is_refused(house: House, body: dict[str, object]) -> None:
    assert house.post(PATH, json=body).status_code == 422


def test_an_unknown_product_and_a_service_without_store_are_refused(house: House, open_house: OpenHouse) -> None:
    for path in ("/products/nut/recalibrations", "/products/nut/what-if?max_false_reject=0.02"):
        assert house.get(path).json()["code"] == "product_not_found"
    assert house.post("/products/nut/recalibrations").json()["code"] == "product_not_found"
    without = open_house()
    assert without.get(PATH).json()["code"] == "feedback_off"
    assert without.get("/products/screw/what-if?max_false_reject=0.02").json()["code"] == "feedback_off"


def test_who_may_what(open_house: OpenHouse, observer: FeedbackObserver) -> None:
    filled(observer)
    keys = {scope: new_key(scope, [scope]) for scope in ("view", "review", "infer")}
    house = open_house(observers=(observer,), api_keys=" ".join(key.line() for _, key in keys.values()))
    as_ = {scope: {"X-API-Key": secret} for scope, (secret, _) in keys.items()}
    assert house.get(PATH, headers=as_["infer"]).status_code == 403
    assert house.get(PATH, headers=as_["view"]).status_code == 200
    assert house.post(PATH, headers=as_["view"]).status_code == 403
    begun = house.post(PATH, headers=as_["review"])
    assert begun.status_code == 202
    assert begun.json()["by"] == "review"
    assert house.post(f"{PATH}/{begun.json()['id']}/apply", headers=as_["review"]).status_code == 403


def test_a_what_if_counts_and_shows_what_changes_sides(house: House, observer: FeedbackObserver) -> None:
    filled(observer)
    found = house.get("/products/screw/what-if?max_false_reject=0.3").json()
    assert found["version"] == "1"
    assert sum(found["now"]["counts"].values()) == sum(found["then"]["counts"].values()) == 1000
    assert found["then"]["threshold"] < found["now"]["threshold"]
    more = found["then"]["counts"]["NG"] - found["now"]["counts"]["NG"]
    assert more > 100
    assert found["changed_total"] >= more
    assert len(found["changed"]) == 200
    first = found["changed"][0]
    assert first["becomes"] == "NG"
    assert found["then"]["threshold"] < first["score"] <= found["now"]["threshold"]
    assert first["id"] > found["changed"][-1]["id"]


def test_a_what_if_asks_for_a_rate_that_can_be_promised(house: House) -> None:
    refused = house.get("/products/screw/what-if?max_false_reject=0.0001")
    assert (refused.status_code, refused.json()["code"]) == (422, "rate_not_promised")
    assert house.get("/products/screw/what-if").status_code == 422
