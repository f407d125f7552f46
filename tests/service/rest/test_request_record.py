"""Request ids, line context, and the one log line that a request leaves."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from service.auth import new_key
from service.logs import FIELDS, JsonLines

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture


def requests_in(log_lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in log_lines if line["event"] == "request"]


@pytest.mark.parametrize("offered", ["a", "line-7:part_0815.2", "A" * 128])
def test_a_good_request_id_is_kept(house: House, picture: Picture, offered: str) -> None:
    response = house.score(picture(), headers={"X-Request-Id": offered})
    assert response.headers["X-Request-Id"] == offered
    assert response.json()["request_id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", "-a", "A" * 129, "a\tb", "ä", 'a"b', "a/../b"])
def test_a_bad_request_id_is_replaced(house: House, picture: Picture, offered: str) -> None:
    response = house.score(picture(), headers={b"x-request-id": offered.encode()})
    assert response.headers["X-Request-Id"] != offered
    assert len(response.headers["X-Request-Id"]) == 32
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


def test_request_ids_that_are_made_differ(house: House) -> None:
    assert house.get("/healthz").headers["X-Request-Id"] != house.get("/healthz").headers["X-Request-Id"]


def test_line_context_is_returned_and_logged_from_query_or_header(
    house: House, picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    response = house.score(picture(), path="/score?line=7&part_id=P%201", headers={"X-Station": "cam2", "X-Line": "8"})
    expected = {"line": "7", "station": "cam2", "part_id": "P 1"}
    assert response.json()["context"] == expected
    (line,) = requests_in(log_lines)
    assert line["context"] == expected


def test_line_context_is_no_metric_label(house: House, picture: Picture) -> None:
    house.score(picture(), path="/score?line=lineseven&station=stationtwo&part_id=part0815")
    page = house.get("/metrics").text
    assert "mkd_decisions_total" in page
    for word in ("lineseven", "stationtwo", "part0815"):
        assert word not in page


def test_a_request_leaves_one_line_with_its_story(
    house: House, picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    house.score(picture(0.1), picture(0.9), b"broken", headers={"X-Request-Id": "r1"})
    (line,) = requests_in(log_lines)
    assert line["request_id"] == "r1"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/score", 200)
    assert (line["product"], line["version"], line["images"]) == ("screw", "1", 3)
    assert line["decisions"] == {"OK": 1, "NG": 1}
    assert line["entry_errors"] == {"image_unreadable": 1}
    assert set(line["timing_ms"]) == {"decode", "queue", "device"}
    assert line["bytes_in"] > 0
    assert line["bytes_out"] > 0
    assert line["duration_ms"] > 0


def test_a_refusal_leaves_its_code(house: House, log_lines: list[dict[str, Any]]) -> None:
    house.get("/nowhere")
    (line,) = requests_in(log_lines)
    assert (line["status"], line["code"]) == (404, "not_found")


def test_neither_key_nor_image_gets_into_the_log(
    open_house: OpenHouse, picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    secret, key = new_key("line-7", ["infer"])
    house = open_house(api_keys=key.line())
    house.score(picture(), headers={"Authorization": f"Bearer {secret}"}, path="/localize?overlay=true")
    house.score(picture(), headers={"X-API-Key": secret + "x"})
    text = json.dumps(log_lines)
    assert requests_in(log_lines)[0]["caller"] == "line-7"
    assert secret not in text
    assert key.digest not in text
    assert "iVBOR" not in text


def test_probes_are_quiet_while_all_is_well(house: House, log_lines: list[dict[str, Any]]) -> None:
    house.get("/readyz")
    house.engine.is_ready = (False, "the device is lost")
    house.get("/readyz")
    assert [line["level"] for line in requests_in(log_lines)] == ["debug", "warning"]


def test_a_log_line_is_one_line_of_json_whatever_it_carries() -> None:
    record = logging.LogRecord("mkdserve", logging.INFO, "", 0, "two\nlines", None, None)
    setattr(record, FIELDS, {"odd": {1, 2}, "text": "a\nb\u2028c"})
    text = JsonLines().format(record)
    assert "\n" not in text
    assert json.loads(text)["event"] == "two\nlines"
