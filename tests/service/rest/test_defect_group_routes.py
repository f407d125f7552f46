"""Recurring defects by HTTP: listed, named by whom it is allowed, in the audit chain, and said of new parts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.audit.query import RecordFilter, search
from service.auth import new_key
from service.feedback.defect_groups.grouping import to_bytes
from service.feedback.defect_groups.records import put
from service.feedback.defect_groups.rows import Region
from service.feedback.observer import FeedbackObserver
from service.feedback.settings import FeedbackSettings
from service.run.assembly import audit_trail
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, OpenHouse, Picture

PATH = "/products/screw/defect-groups"
BOX = (4, 2, 10, 8)
NO_NAMES: tuple[object, ...] = (
    {},
    {"name": ""},
    {"name": " x"},
    {"name": "a/b"},
    {"name": 7},
    {"name": "x", "by": "me"},
)


@pytest.fixture
def house(open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture, tmp_path: Path) -> House:
    """A house with two NG parts of one group (ids 1 and 2), an audit trail, and no keys."""
    return house_with(open_house, fake_engine(), picture, tmp_path)


def house_with(
    open_house: OpenHouse,
    engine: FakeEngine,
    picture: Picture,
    tmp_path: Path,
    headers: dict[str, str] | None = None,
    api_keys: str | None = None,
) -> House:
    trail = audit_trail(Settings(audit_folder=tmp_path / "audit"), engine.metrics, "1")
    observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
    assert trail is not None
    house = open_house(engine=engine, observers=(trail, observer), **({"api_keys": api_keys} if api_keys else {}))
    for brightness in (0.94, 0.95):
        assert house.score(picture(brightness), headers=headers or {}).is_success
    while engine.metrics.value("mkd_feedback_verdicts_total", outcome="stored") < 2:
        time.sleep(0.01)
    descriptor = to_bytes(np.array([1, 0], np.float32))
    with observer.store.open().writing() as connection:
        for part in (1, 2):
            put(connection, Region(part, "screw", BOX, "vgg16", descriptor), 0.1, time.time())
    return house


def test_a_group_has_its_parts_with_their_regions_and_its_share(house: House) -> None:
    found = house.get(PATH).json()
    (group,) = found["groups"]
    assert (group["name"], group["parts"], group["share"], found["inspected"]) == (None, 2, 1.0, 2)
    assert [(row["id"], row["box"]) for row in group["members"]] == [(2, list(BOX)), (1, list(BOX))]
    assert found["work"] == {"waiting": 0, "trouble": None}
    assert house.get(f"{PATH}?since=2100-01-01").json()["groups"] == []


def test_a_name_is_said_of_parts_and_is_a_record_of_the_audit_chain(house: House, tmp_path: Path) -> None:
    (group,) = house.get(PATH).json()["groups"]
    assert house.post(f"{PATH}/{group['id']}/name", json={"name": "Kratzer"}).status_code == 204
    assert house.get("/verdicts/1").json()["resembles"] == {"group": group["id"], "name": "Kratzer", "distance": 0.0}
    (named,) = house.get(PATH).json()["groups"]
    assert (named["name"], named["named_by"]) == ("Kratzer", "anonymous")
    assert house.post(f"{PATH}/{group['id']}/name", json={"name": None}).status_code == 204
    house.run(house.stack.aclose())
    asked = RecordFilter(product="screw", kinds=frozenset({"review"}))
    made, taken = (found.record.members for found in search(tmp_path / "audit", asked, on_damage=print))
    assert (made["action"], made["name"], made["by"]) == ("group named", "Kratzer", "anonymous")
    assert (taken["before"], "name" in taken) == ("Kratzer", False)


def test_what_is_no_name_and_what_is_not_there_is_refused(house: House) -> None:
    (group,) = house.get(PATH).json()["groups"]
    for body in NO_NAMES:
        answer = house.post(f"{PATH}/{group['id']}/name", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter"), body
    answers = [house.post(f"{PATH}/77/name", json={"name": "x"}), house.get("/products/nut/defect-groups")]
    assert [answer.json()["code"] for answer in answers] == ["defect_group_not_found", "product_not_found"]
    assert house.get(PATH).json()["groups"][0]["name"] is None


def test_without_a_store_the_routes_say_so(open_house: OpenHouse) -> None:
    house = open_house()
    answers = [house.get(PATH), house.post(f"{PATH}/1/name", json={"name": "x"})]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "feedback_off")}


def test_who_may_look_may_not_name(
    open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture, tmp_path: Path
) -> None:
    secrets = {name: new_key(name, [name]) for name in ("infer", "view", "review")}
    lines = " ".join(key.line() for _, key in secrets.values())
    key = {name: {"X-API-Key": secret} for name, (secret, _) in secrets.items()}
    house = house_with(open_house, fake_engine(), picture, tmp_path, key["infer"], lines)
    assert [house.get(PATH, headers=headers).status_code for headers in ({}, key["infer"])] == [401, 403]
    (group,) = house.get(PATH, headers=key["view"]).json()["groups"]
    named = {who: house.post(f"{PATH}/{group['id']}/name", json={"name": "x"}, headers=key[who]) for who in key}
    assert {who: answer.status_code for who, answer in named.items()} == {"infer": 403, "view": 403, "review": 204}
    assert house.get(PATH, headers=key["view"]).json()["groups"][0]["named_by"] == "review"
