"""POST, GET and DELETE /session, and what a session cookie may do: as much as its key, from our own page alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.auth import new_key
from service.sessions import LASTS_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.rest.conftest import House, OpenHouse

OWN = {"Origin": "http://127.0.0.1:8000"}
UNPIN = "/admin/products/screw/unpin"


@pytest.fixture
def keys() -> dict[str, Any]:
    return {name: new_key(name, [name]) for name in ("view", "admin", "metrics")}


@pytest.fixture
def locked(open_house: OpenHouse, keys: dict[str, Any], tmp_path: Path) -> House:
    file = tmp_path / "keys"
    file.write_text("\n".join(key.line() for _, key in keys.values()))
    return open_house(api_keys_file=file)


def log_in(house: House, secret: str, **headers: str) -> httpx.Response:
    return house.post("/session", json={"key": secret}, headers={**OWN, **headers})


def csrf(house: House) -> dict[str, str]:
    return {"X-CSRF-Token": house.get("/session").json()["csrf_token"]}


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_key_becomes_a_cookie_that_no_script_reads_and_no_other_page_sends(
    locked: House, keys: dict[str, Any]
) -> None:
    answer = log_in(locked, keys["admin"][0])
    assert (answer.status_code, answer.content) == (204, b"")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={int(LASTS_S)}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert keys["admin"][0] not in cookie
    assert keys["admin"][1].digest not in cookie
    who = locked.get("/session").json()
    assert (who["name"], who["scopes"], who["keys_needed"]) == ("admin", ["view", "review", "admin"], True)


def test_over_https_the_cookie_is_never_sent_in_the_clear(locked: House, keys: dict[str, Any]) -> None:
    answer = log_in(locked, keys["view"][0], Origin="https://127.0.0.1:8000")
    assert "Secure" in answer.headers["set-cookie"]


def test_below_a_proxys_prefix_the_cookie_is_for_that_path(open_house: OpenHouse, keys: dict[str, Any]) -> None:
    house = open_house(api_keys=keys["view"][1].line(), root_path="/line-7")
    assert "Path=/line-7" in log_in(house, keys["view"][0]).headers["set-cookie"]


def test_a_session_may_what_its_key_may(locked: House, keys: dict[str, Any]) -> None:
    log_in(locked, keys["view"][0])
    assert locked.get("/products").status_code == 200
    assert code(locked.get("/metrics")) == (403, "forbidden")
    assert code(locked.post(UNPIN, headers={**OWN, **csrf(locked)})) == (403, "forbidden")
    log_in(locked, keys["admin"][0])
    assert locked.post(UNPIN, headers={**OWN, **csrf(locked)}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:9999"},
    ],
)
def test_a_cookie_changes_nothing_for_another_page(
    locked: House, keys: dict[str, Any], headers: dict[str, str]
) -> None:
    log_in(locked, keys["admin"][0])
    assert code(locked.post(UNPIN, headers={**headers, **csrf(locked)})) == (403, "cross_site_request")
    assert locked.registry.asked == []


@pytest.mark.parametrize("token", [None, "", "x", "é"])
def test_a_cookie_changes_nothing_without_the_token(locked: House, keys: dict[str, Any], token: str | None) -> None:
    log_in(locked, keys["admin"][0])
    headers = [(name.encode(), value.encode()) for name, value in OWN.items()]
    headers += [] if token is None else [(b"x-csrf-token", token.encode())]
    assert code(locked.post(UNPIN, headers=headers)) == (403, "cross_site_request")


def test_a_key_in_a_header_goes_before_a_cookie_and_needs_no_token(locked: House, keys: dict[str, Any]) -> None:
    log_in(locked, keys["view"][0])
    assert locked.post(UNPIN, headers={"X-API-Key": keys["admin"][0]}).status_code == 200


@pytest.mark.parametrize("value", ["", "x", "a.b", "eyJ9.x", '"', "x" * 3000])
def test_a_forged_cookie_opens_nothing(locked: House, value: str) -> None:
    answer = locked.get("/products", headers={"Cookie": f"mkd_session={value}"})
    assert answer.status_code == 401
    assert locked.get("/session", headers={"Cookie": f"mkd_session={value}"}).json()["name"] is None


def test_a_key_that_is_taken_away_ends_its_sessions(locked: House, keys: dict[str, Any], tmp_path: Path) -> None:
    log_in(locked, keys["admin"][0])
    assert locked.get("/products").status_code == 200
    (tmp_path / "keys").write_text(keys["view"][1].line())
    locked.lifecycle.reload_keys()
    assert code(locked.get("/products")) == (401, "unauthorized")
    assert locked.get("/session").json()["name"] is None


def test_a_new_key_of_the_same_name_does_not_revive_a_session(
    locked: House, keys: dict[str, Any], tmp_path: Path
) -> None:
    log_in(locked, keys["admin"][0])
    (tmp_path / "keys").write_text(new_key("admin", ["admin"])[1].line())
    locked.lifecycle.reload_keys()
    assert locked.get("/products").status_code == 401


def test_a_session_half_over_is_renewed_and_stays_secure(
    locked: House, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = log_in(locked, keys["view"][0], Origin="https://127.0.0.1:8000").cookies["mkd_session"]
    monkeypatch.setattr("service.sessions.LASTS_S", 4 * LASTS_S)  # three quarters of it are over at once
    renewed = locked.get("/session", headers={"Cookie": f"mkd_session={sent}"})
    assert "Secure" in renewed.headers["set-cookie"]
    assert renewed.json()["name"] == "view"


def test_logging_out_takes_the_cookie_away(locked: House, keys: dict[str, Any]) -> None:
    log_in(locked, keys["view"][0])
    assert code(locked.run(locked.client.delete("/session", headers={"Origin": "http://evil.example"})))[0] == 403
    gone = locked.run(locked.client.delete("/session", headers=OWN))
    assert gone.status_code == 204
    assert locked.get("/products").status_code == 401


@pytest.mark.parametrize(
    ("body", "status"), [({"key": "mkd_x"}, 401), ({"key": ""}, 422), ({}, 422), ({"key": "x", "more": 1}, 422)]
)
def test_what_is_no_key_logs_nobody_in(locked: House, body: dict[str, Any], status: int) -> None:
    answer = locked.post("/session", json=body, headers=OWN)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert "mkd_x" not in answer.text


def test_another_page_logs_nobody_in(locked: House, keys: dict[str, Any]) -> None:
    assert code(log_in(locked, keys["view"][0], Origin="http://evil.example")) == (403, "cross_site_request")


def test_without_keys_there_is_nothing_to_log_in_to(house: House) -> None:
    assert house.post("/session", json={"key": "x"}).status_code == 204
    who = house.get("/session").json()
    assert (who["name"], who["keys_needed"], "admin" in who["scopes"]) == (None, False, True)
    assert code(house.get("/session", headers={"Host": "evil.example"})) == (403, "foreign_request")
