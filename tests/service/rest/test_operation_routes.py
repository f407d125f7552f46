"""Health, readiness, metrics, version, products, and what admin routes hand on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from service.run.application import lifecycle_of

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeRegistry, FakeVersion, House, OpenHouse, Picture


def test_a_fresh_service_is_alive_and_ready(house: House) -> None:
    assert house.get("/healthz").json() == {"status": "ok"}
    response = house.get("/readyz")
    assert response.status_code == 200
    assert response.json()["ready"] is True


def test_what_the_start_left_in_memory_is_given_back_once(house: House) -> None:
    assert house.engine.given_back == 1


def test_readiness_names_the_engines_reason_and_life_goes_on(house: House) -> None:
    house.engine.is_ready = (False, "cuda:0 cannot be started")
    response = house.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"ready": False, "reason": "cuda:0 cannot be started"}
    assert response.headers["Retry-After"]
    assert house.get("/healthz").status_code == 200


def test_readiness_names_the_registrys_reason(open_house: OpenHouse, fake_registry: type[FakeRegistry]) -> None:
    house = open_house(registry=fake_registry())
    response = house.get("/readyz")
    assert response.status_code == 503
    assert "no product" in response.json()["reason"]


def test_only_an_engine_that_cannot_help_itself_ends_life(house: House) -> None:
    house.engine.is_live = False
    assert house.get("/healthz").status_code == 503


def test_load_changes_neither_health_nor_readiness(house: House, picture: Picture) -> None:
    with house.engine.admission.try_admit(512, 0):
        assert house.score(picture()).status_code == 429
        assert house.get("/readyz").status_code == 200
        assert house.get("/healthz").status_code == 200


def test_the_shutdown_flag_turns_readiness_red_while_requests_are_still_served(house: House, picture: Picture) -> None:
    house.lifecycle.checks.shutdown.set()
    assert house.get("/readyz").status_code == 503
    assert house.get("/healthz").status_code == 200
    assert house.score(picture()).status_code == 200


def test_the_end_of_the_lifespan_drains_the_engine(open_house: OpenHouse) -> None:
    house = open_house(drain_s=7.0)
    house.run(house.stack.aclose())
    assert house.engine.drained == [7.0]


def test_the_last_call_drains_at_once_and_only_once(open_house: OpenHouse) -> None:
    house = open_house(drain_s=7.0)

    async def last_call() -> None:
        house.lifecycle.answer_what_is_left()
        await house.stack.aclose()

    house.run(last_call())
    assert house.engine.drained == [0.0]


def test_the_metrics_page_tells_of_requests_images_and_stages(house: House, picture: Picture) -> None:
    house.score(picture(0.1), picture(0.9), b"x", path="/localize")
    response = house.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    page = response.text
    assert 'mkd_images_total{outcome="ok"} 2.0' in page
    assert 'mkd_images_total{outcome="image_unreadable"} 1.0' in page
    assert 'mkd_decisions_total{decision="NG",product="screw"} 1.0' in page
    assert 'mkd_stage_seconds_count{stage="decode"} 2.0' in page
    assert 'mkd_stage_seconds_count{stage="encode"} 2.0' in page
    assert 'mkd_request_seconds_count{route="/localize"} 1.0' in page


def test_the_version_names_what_runs(house: House) -> None:
    found = house.get("/version").json()
    assert set(found) == {"version", "python", "torch", "backends"}
    assert found["backends"] == {"cpu": {"vgg16 in float32": "torch (asked for)"}}


def test_products_are_listed_and_one_is_told_in_detail(
    open_house: OpenHouse, fake_registry: type[FakeRegistry], fake_version: type[FakeVersion]
) -> None:
    house = open_house(registry=fake_registry(fake_version("nut"), fake_version("bolt")))
    assert [row["name"] for row in house.get("/products").json()["products"]] == ["nut", "bolt"]
    detail = house.get("/products/nut").json()
    assert detail["calibration_images"] == 199
    assert detail["smallest_false_reject"] == pytest.approx(1 / 200)
    assert detail["threshold"]["rate_asked"] == 0.01
    assert detail["review_threshold"]["rate_asked"] == 0.05
    assert house.get("/products/screw").status_code == 404


def test_doubts_of_the_active_version_are_shown_in_the_list_and_in_detail(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.get("/products").json()["products"][0]["doubts"] == []
    known = house.registry.products()[0]
    told = replace(known, doubts=("degenerate, accepted at the fit: 9 of 9 pictures are black",))
    monkeypatch.setattr(house.registry, "products", lambda: [told])
    monkeypatch.setattr(house.registry, "status", lambda _: told)
    assert house.get("/products").json()["products"][0]["doubts"] == list(told.doubts)
    assert house.get("/products/screw").json()["doubts"] == list(told.doubts)


def test_looking_at_a_resting_product_does_not_wake_it(house: House) -> None:
    house.registry.state = "resting"
    assert house.get("/products/screw").json()["calibration_images"] is None


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("load", None, ("load", "screw", "None")),
        ("load", {"version": "2"}, ("load", "screw", "2")),
        ("activate", {"version": "2"}, ("activate", "screw", "2")),
        ("unpin", None, ("unpin", "screw")),
        ("rollback", None, ("rollback", "screw")),
        ("unload", None, ("unload", "screw")),
    ],
)
def test_admin_routes_hand_the_operators_word_to_the_registry(
    house: House, path: str, body: dict[str, str] | None, asked: tuple[str, ...]
) -> None:
    response = house.post(f"/admin/products/screw/{path}", **({"json": body} if body else {}))
    assert response.status_code == 200
    assert response.json()["name"] == "screw"
    assert house.registry.asked == [asked]


def test_the_openapi_document_tells_forms_examples_and_problems(house: House) -> None:
    document = house.get("/openapi.json").json()
    for path in ("/score", "/localize"):
        post = document["paths"][path]["post"]
        assert {"multipart/form-data", "application/json", "image/png"} <= set(post["requestBody"]["content"])
        assert post["responses"]["200"]["content"]["application/json"]["example"]["results"]
        for status in ("400", "401", "403", "404", "408", "413", "415", "422", "429", "500", "503", "504"):
            answer = post["responses"][status]["content"]
            assert list(answer) == ["application/problem+json"], status
            assert answer["application/problem+json"]["examples"], status
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_openapi_document_asks_for_keys_only_where_there_are_keys(open_house: OpenHouse) -> None:
    without = open_house().get("/openapi.json").json()
    assert "securitySchemes" not in without["components"]
    assert "security" not in without["paths"]["/score"]["post"]
    with_keys = open_house(api_keys="a:infer:" + "0" * 64).get("/openapi.json").json()
    assert set(with_keys["components"]["securitySchemes"]) == {"bearer", "apiKey", "session"}
    assert with_keys["paths"]["/score"]["post"]["security"]
    assert "security" not in with_keys["paths"]["/healthz"]["get"]


def test_the_openapi_examples_are_of_the_form_that_is_answered(house: House, picture: Picture) -> None:
    document = house.get("/openapi.json").json()
    for path in ("/score", "/localize"):
        example = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["example"]
        (verdict, refused) = house.score(picture(0.75), b"x", path=path).json()["results"]
        shown, shown_refused = example["results"]
        assert set(verdict) <= set(shown)
        assert set(shown_refused) == set(refused)


def test_the_openapi_document_can_be_switched_off(open_house: OpenHouse) -> None:
    house = open_house(openapi=False)
    assert house.get("/openapi.json").status_code == 404
    assert house.get("/docs").status_code == 404


def test_the_server_finds_the_lifecycle_behind_the_application(house: House) -> None:
    assert lifecycle_of(house.application) is house.lifecycle
