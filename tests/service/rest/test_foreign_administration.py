"""Without keys, only requests that no other page can have made may administer; each leaves in the log who it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.auth import new_key

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse

PATH = "/admin/products/screw/unpin"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", [PATH, "/admin/products/screw/drift/reset"])
def test_a_foreign_host_or_origin_administers_nothing(house: House, headers: dict[str, str], path: str) -> None:
    response = house.post(path, headers=headers)
    assert response.status_code == 403
    assert response.json()["code"] == "foreign_request"
    assert house.registry.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8000"},
        {"Host": "[::1]:8000"},
        {"Host": "10.1.2.3"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"},
    ],
)
def test_ones_own_address_administers(house: House, headers: dict[str, str]) -> None:
    assert house.post(PATH, headers=headers).status_code == 200


def test_the_name_that_is_listened_on_is_ones_own(open_house: OpenHouse) -> None:
    house = open_house(host="line-server", insecure_no_auth=True)
    assert house.post(PATH, headers={"Host": "line-server:8000"}).status_code == 200
    assert house.post(PATH, headers={"Host": "other-server:8000"}).status_code == 403


def test_with_keys_the_key_decides(open_house: OpenHouse) -> None:
    secret, key = new_key("ops", ["admin"])
    house = open_house(api_keys=key.line())
    assert house.post(PATH, headers={"Host": "evil.example", "X-API-Key": secret}).status_code == 200


def test_other_routes_take_any_host(house: House) -> None:
    assert house.get("/products", headers={"Host": "evil.example"}).status_code == 200


def test_an_admin_event_names_its_caller_and_request(open_house: OpenHouse, log_lines: list[dict[str, Any]]) -> None:
    secret, key = new_key("ops", ["admin"])
    house = open_house(api_keys=key.line())
    headers = {"X-API-Key": secret, "X-Request-Id": "r7"}
    house.post("/admin/products/screw/load", headers=headers, json={"version": "2"})
    house.post("/admin/products/screw/drift/reset", headers=headers)
    events = [line for line in log_lines if line["event"] == "admin"]
    assert [line["action"] for line in events] == ["load", "drift reset"]
    assert all((line["caller"], line["request_id"], line["product"]) == ("ops", "r7", "screw") for line in events)
    assert events[0]["version"] == "2"
