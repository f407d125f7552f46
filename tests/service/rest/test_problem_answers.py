"""Every refusal is a problem+json with a stable code, whoever raised it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.errors import ArtifactRefused

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, OpenHouse, Picture

MEMBERS = ["type", "title", "status", "detail", "instance", "code", "request_id"]


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    body = response.json()
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert list(body)[: len(MEMBERS)] == MEMBERS
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:mkdserve:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-Id"]


def test_an_unknown_path_is_a_problem(house: House) -> None:
    response = house.get("/nowhere")
    assert_problem(response, 404, "not_found")
    assert response.json()["instance"] == "/nowhere"


def test_a_wrong_method_is_a_problem_that_says_which_is_right(house: House) -> None:
    response = house.get("/score")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "query",
    [
        "max_false_reject=2",
        "max_false_reject=0",
        "max_false_reject=nan",
        "max_false_reject=x",
        "review=maybe",
        "product=../secret",
        "product=",
        "treshold=0.5",
        "overlay=true",
        "line=" + "a" * 129,
        "station=%07",
    ],
)
def test_a_parameter_that_is_not_as_documented_is_named(house: House, picture: Picture, query: str) -> None:
    response = house.score(picture(), path=f"/score?{query}")
    assert_problem(response, 422, "invalid_parameter")
    assert query.split("=")[0] in response.json()["detail"]
    assert house.engine.judged == []


def test_a_form_is_told_in_words_and_not_as_a_regular_expression(house: House, picture: Picture) -> None:
    response = house.score(picture(), path="/score?product=../secret")
    assert response.json()["detail"].startswith("query.product: expected is a letter or digit first, then letters")
    late = house.score(picture(), headers={"X-Deadline-Ms": "soon"})
    assert "milliseconds in figures" in late.json()["detail"]


def test_a_full_house_is_told_when_to_come_back(
    open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture
) -> None:
    engine = fake_engine(max_images=64)
    house = open_house(engine=engine)
    with engine.admission.try_admit(64, 0):
        response = house.score(picture())
        assert_problem(response, 429, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
    assert house.score(picture()).status_code == 200


def test_a_house_full_of_bytes_refuses_before_the_body_is_read(
    open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture
) -> None:
    engine = fake_engine(max_bytes=4000)
    house = open_house(engine=engine)
    with engine.admission.try_admit(1, 3990):
        assert_problem(house.score(picture()), 429, "overloaded")

        async def unannounced() -> Any:
            yield picture() + b"\0" * 100

        assert_problem(
            house.post("/score", content=unannounced(), headers={"Content-Type": "image/png"}), 429, "overloaded"
        )
    assert engine.judged == []


def test_more_images_than_there_is_room_for_are_refused_before_they_are_decoded(
    open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture
) -> None:
    engine = fake_engine(max_images=64)
    house = open_house(engine=engine)
    with engine.admission.try_admit(60, 0):
        assert_problem(house.score(*[picture()] * 5), 429, "overloaded")
        assert engine.judged == []
        assert house.score(*[picture()] * 4).status_code == 200
    assert engine.admission.images == 0


def test_a_house_that_closes_refuses_with_a_time_to_come_back(house: House, picture: Picture) -> None:
    house.engine.admission.close()
    response = house.score(picture())
    assert_problem(response, 503, "shutting_down")
    assert int(response.headers["Retry-After"]) >= 1


def test_a_refused_artifact_is_a_conflict(house: House) -> None:
    house.registry.refuse = ArtifactRefused("head.safetensors: hash differs")
    response = house.post("/admin/products/screw/load")
    assert_problem(response, 409, "artifact_refused")
    assert "head.safetensors" in response.json()["detail"]


def test_a_version_that_is_not_there_is_named(house: House) -> None:
    assert_problem(house.post("/admin/products/screw/activate", json={"version": "99"}), 404, "version_not_found")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": "../2"}', b'{"version": "1", "x": 1}', b"\xff"])
def test_an_admin_body_that_is_not_as_documented_is_a_problem(house: House, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = house.post("/admin/products/screw/activate", content=content, headers=headers)
    assert_problem(response, 422, "invalid_parameter")


def test_an_admin_body_is_bounded_and_must_be_json(house: House) -> None:
    path = "/admin/products/screw/activate"
    long = house.post(path, content=b" " * 5000, headers={"Content-Type": "application/json"})
    assert_problem(long, 413, "body_too_large")
    assert_problem(house.post(path, content=b"version=1"), 415, "unsupported_body")


def test_a_product_name_that_is_a_path_is_refused(house: House) -> None:
    assert_problem(house.get("/products/..%2f..%2fetc"), 404, "not_found")
    assert_problem(house.get("/products/-x"), 422, "invalid_parameter")


def test_a_fault_of_the_service_tells_its_request_id_and_nothing_else(house: House) -> None:
    def fault() -> None:
        raise RuntimeError("secret detail")

    house.registry.products = fault  # type: ignore[assignment, method-assign]
    response = house.get("/products")
    assert_problem(response, 500, "internal_error")
    assert "secret detail" not in response.text


def test_refusals_are_counted_by_route_and_code(house: House, picture: Picture) -> None:
    house.score(picture(), path="/score?product=nut")
    house.score(picture())
    house.get("/nowhere/at/all")
    value = house.engine.metrics.value
    assert value("mkd_requests_total", route="/score", outcome="product_not_found") == 1
    assert value("mkd_requests_total", route="/score", outcome="ok") == 1
    assert value("mkd_requests_total", route="unknown", outcome="not_found") == 1
