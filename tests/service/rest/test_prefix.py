"""The service below a path of a proxy: by setting or header, with the path taken off by the proxy or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

HEADER = "X-Forwarded-Prefix"


@pytest.mark.parametrize("path", ["/docs", "/line-7/docs"])
@pytest.mark.parametrize("by", ["setting", "header"])
def test_page_and_document_name_the_prefix(open_house: OpenHouse, path: str, by: str) -> None:
    house = open_house(root_path="/line-7" if by == "setting" else "")
    headers = {HEADER: "/line-7/"} if by == "header" else {}
    page = house.get(path, headers=headers)
    assert page.status_code == 200
    assert "url: '/line-7/openapi.json'" in page.text
    assert 'src="/line-7/docs/assets/' in page.text
    document = house.get(path.replace("docs", "openapi.json"), headers=headers).json()
    assert document["servers"] == [{"url": "/line-7"}]


@pytest.mark.parametrize("path", ["/score", "/line-7/score"])
def test_images_are_judged_and_counted_as_without_a_prefix(house: House, picture: Picture, path: str) -> None:
    answer = house.score(picture(), path=path, headers={HEADER: "/line-7"})
    assert answer.status_code == 200
    assert 'mkd_requests_total{outcome="ok",route="/score"} 1.0' in house.get("/metrics").text


def test_a_refusal_behind_any_prefix_counts_for_its_route(house: House, picture: Picture) -> None:
    with house.engine.admission.try_admit(512, 0):
        for prefix in ("/a", "/b"):
            assert house.score(picture(), path=f"{prefix}/score", headers={HEADER: prefix}).status_code == 429
    page = house.get("/metrics").text
    assert 'mkd_requests_total{outcome="overloaded",route="/score"} 2.0' in page
    assert 'route="/a' not in page


def test_a_path_that_only_begins_like_the_prefix_is_below_it(open_house: OpenHouse) -> None:
    house = open_house(root_path="/heal")
    assert house.get("/healthz").status_code == 200
    assert house.get("/heal/healthz").status_code == 200


@pytest.mark.parametrize(
    "forged",
    ["//evil.example", "https://evil.example", "/a/../b", '/"><script>', "/a b", "/" + "a" * 65, "/%2e"],
)
def test_a_header_that_is_no_plain_path_changes_nothing(house: House, forged: str) -> None:
    page = house.get("/docs", headers={HEADER: forged})
    assert page.text == house.get("/docs").text
    assert "servers" not in house.get("/openapi.json", headers={HEADER: forged}).json()


def test_the_setting_wins_over_the_header(open_house: OpenHouse) -> None:
    page = open_house(root_path="/line-7/").get("/docs", headers={HEADER: "/other"}).text
    assert "/line-7/openapi.json" in page
    assert "/other" not in page


def test_a_setting_that_is_no_plain_path_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a plain path as /line-7"):
        Settings(root_path="https://inspection.example/")
