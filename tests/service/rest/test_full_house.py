"""The door of a full house: who is told so before any route looks, what is still told first, and what is noted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from service.auth import new_key

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

SECRET, KEY = new_key("line-7", ["infer"])
OTHER_SECRET, OTHER_KEY = new_key("prometheus", ["metrics"])


@pytest.fixture
def full(open_house: OpenHouse) -> Iterator[House]:
    """A house with keys and no room."""
    house = open_house(api_keys=f"{KEY.line()} {OTHER_KEY.line()}")
    with house.engine.admission.try_admit(512, 0):
        yield house


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {SECRET}"}, {"X-API-Key": SECRET}])
@pytest.mark.parametrize("path", ["/score", "/localize", "/score?product=unheard-of"])
def test_a_full_house_is_told_before_any_route_looks(
    full: House, picture: Picture, path: str, headers: dict[str, str]
) -> None:
    response = full.score(picture(), path=path, headers=headers)
    assert response.status_code == 429
    assert response.json()["code"] == "overloaded"
    assert response.json()["instance"] == path.partition("?")[0]
    assert int(response.headers["Retry-After"]) >= 1
    assert full.registry.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {SECRET}"}, 401),
        ({"Authorization": f"Bearer {OTHER_SECRET}"}, 403),
    ],
)
def test_who_has_no_key_learns_nothing_of_the_load(
    full: House, picture: Picture, headers: dict[str, str], status: int
) -> None:
    response = full.score(picture(), headers=headers)
    assert response.status_code == status
    assert "Retry-After" not in response.headers
    assert full.engine.metrics.value("mkd_rejections_total", reason="images") == 0


@pytest.mark.parametrize(
    ("headers", "status"), [({"X-Deadline-Ms": "soon"}, 422), ({"X-Deadline-Ms": "0"}, 422), ({}, 429)]
)
def test_a_deadline_that_is_none_is_left_to_the_route(
    full: House, picture: Picture, headers: dict[str, str], status: int
) -> None:
    assert full.score(picture(), headers={"X-API-Key": SECRET, **headers}).status_code == status


def test_a_refusal_is_counted_once_and_leaves_one_line(
    full: House, picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    response = full.score(
        picture(), path="/score?line=7", headers={"X-API-Key": SECRET, "X-Request-Id": "r1", "X-Part-Id": "p1"}
    )
    assert response.headers["X-Request-Id"] == response.json()["request_id"] == "r1"
    value = full.engine.metrics.value
    assert value("mkd_rejections_total", reason="images") == 1
    assert value("mkd_requests_total", route="/score", outcome="overloaded") == 1
    assert value("mkd_request_seconds_count", route="/score") == 1
    (line,) = [line for line in log_lines if line["event"] == "request"]
    assert line["status"] == 429
    assert line["code"] == "overloaded"
    assert line["caller"] == "line-7"
    assert line["context"] == {"line": "7", "part_id": "p1"}
    assert line["bytes_in"] > 0  # the body was read off, so that the connection can be kept
    assert SECRET not in json.dumps(line)


def test_other_paths_and_methods_have_no_door(full: House) -> None:
    headers = {"X-API-Key": SECRET}
    assert full.get("/products", headers=headers).status_code == 200
    assert full.get("/score", headers=headers).status_code == 405
    assert full.post("/nowhere", headers=headers).status_code == 404
