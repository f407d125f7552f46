"""A request that is as documented is read without the framework; every other one is answered by the framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.rest import direct_route

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

FRESH = ("request_id", "timing")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request whether it was read directly; an entry is added as it comes."""
    seen: list[bool] = []
    read = direct_route.arguments_of

    def noted(*arguments: Any) -> dict[str, object] | None:
        found = read(*arguments)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(direct_route, "arguments_of", noted)
    return seen


def without_fresh(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: without_fresh(value) for name, value in answer.items() if name not in FRESH}
    return [without_fresh(value) for value in answer] if isinstance(answer, list) else answer


GOOD = [
    ("/score", {}),
    ("/score?product=screw&review=off&max_false_reject=0.05&line=L1", {}),
    ("/localize?overlay=1&mask=yes&station=S%204", {"X-Line": "Linie 7"}),
    ("/localize?overlay=outline", {"X-Deadline-Ms": "5000.5", "X-Part-Id": "ä".encode()}),
]
BAD = [
    ("/score?produkt=screw", {}),
    ("/score?review=off&review=on", {}),
    ("/score?max_false_reject=2", {}),
    ("/score?max_false_reject=x&review=perhaps", {}),
    ("/score?product=..%2Fetc", {}),
    ("/score?line=", {}),
    ("/score", {"X-Deadline-Ms": "soon"}),
    ("/score", {"X-Deadline-Ms": "0"}),
    ("/score", {"X-Line": "a\tb"}),
    ("/localize?overlay=red", {}),
]


@pytest.mark.parametrize(("path", "headers"), GOOD)
def test_what_is_documented_is_read_directly_and_answered_as_by_the_framework(
    house: House, picture: Picture, path: str, headers: Any, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Content-Type": "image/png", **headers}
    direct = house.post(path, content=picture(0.9), headers=headers)
    assert taken == [True]
    monkeypatch.setattr(direct_route, "arguments_of", lambda *_: None)
    by_framework = house.post(path, content=picture(0.9), headers=headers)
    assert direct.status_code == by_framework.status_code == 200
    assert without_fresh(direct.json()) == without_fresh(by_framework.json())


@pytest.mark.parametrize(("path", "headers"), BAD)
def test_what_is_not_documented_is_left_to_the_framework(
    house: House, picture: Picture, path: str, headers: Any, taken: list[bool]
) -> None:
    answer = house.post(path, content=picture(0.9), headers={"Content-Type": "image/png", **headers})
    assert taken == [False]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_a_request_without_a_good_key_is_left_to_the_framework(
    open_house: OpenHouse, picture: Picture, taken: list[bool]
) -> None:
    house = open_house(api_keys="line:metrics:" + "0" * 64)
    assert house.post("/score", content=picture(0.9), headers={"Content-Type": "image/png"}).status_code == 401
    assert taken == [False]


def test_the_open_inference_protocol_is_read_directly_but_for_names_that_are_none(
    house: House, taken: list[bool]
) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [51] * 192}
    for path, status in (("screw", 200), ("screw/versions/3", 404), ("-screw", 422), ("%2e%2e", 422)):
        answer = house.post(f"/v2/models/{path}/infer", json={"inputs": [tensor]})
        assert answer.status_code == status, path
    assert taken == [True, True, False, False]
