"""The asynchronous client against the real application, without a network between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest

from mkdserve.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    ImageError,
    ImageFile,
    InvalidRequest,
    NotFound,
    Retries,
    TooLarge,
    Unauthorized,
    Verdict,
)
from mkdserve.client.images import parts
from mkdserve.client.products import ProductSummary
from models.imaging.stack import stack_files
from service.auth import new_key
from tests.service.rest.conftest import House, OpenHouse, Picture

T = TypeVar("T")
ONCE = Retries(attempts=1)


def ask(house: House, work: Callable[[AsyncClient], Awaitable[T]], **options: Any) -> T:
    """What `work` gets by a client of this application."""

    async def use() -> T:
        transport = httpx.ASGITransport(house.app)
        async with AsyncClient(transport=transport, **({"retries": ONCE} | options)) as client:
            return await work(client)

    found: T = house.run(use())
    return found


def test_each_image_comes_back_with_its_own_verdict(house: House, picture: Picture) -> None:
    files = [ImageFile(picture(share), f"{share}.png") for share in (0.2, 0.78, 0.95)]
    reply = ask(house, lambda client: client.score(*files, product="screw", part_id="Schraube Ü 7"))
    assert [(one.filename, one.decision, one.is_ok) for one in reply] == [
        ("0.2.png", "OK", True),
        ("0.78.png", "REVIEW", False),
        ("0.95.png", "NG", False),
    ]
    assert not reply.all_ok
    assert reply.context is not None
    assert reply.context.part_id == "Schraube Ü 7"


def test_an_image_that_cannot_be_judged_is_a_result_and_never_ok(house: House, picture: Picture) -> None:
    reply = ask(house, lambda client: client.score(picture(0.2), b"no image"))
    good, bad = reply
    assert isinstance(good, Verdict)
    assert isinstance(bad, ImageError)
    assert (bad.code, bad.is_ok, reply.all_ok) == ("image_unreadable", False, False)
    assert (reply.verdicts, reply.errors) == ([good], [bad])


def test_paths_bytes_and_arrays_are_sent_without_loss(house: House, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(picture(0.2))
    array = np.full((24, 40, 3), (10, 40, 90), np.uint8)
    grey = np.full((24, 40), 13107, np.uint16)
    reply = ask(house, lambda client: client.score(tmp_path / "part.png", array, grey, picture(0.2)))
    assert [one.filename for one in reply] == ["part.png", "001.png", "002.png", "003"]
    sent = [row.image.mean(axis=(1, 2)) for row in house.engine.judged]  # in the order in which they were decoded
    for expected, count in ((np.array([10, 40, 90]) / 255, 1), (np.full(3, 0.2), 3)):
        assert sum(np.allclose(mean, expected, atol=1e-2) for mean in sent) == count


def test_a_map_is_an_array_of_the_size_of_the_input_with_its_scale(house: House) -> None:
    array = np.zeros((24, 40), np.uint8)
    array[:, 20:] = 230
    reply = ask(house, lambda client: client.localize(array, overlay=True, mask=True, max_false_reject=0.5))
    (found,) = reply.verdicts
    assert [str(each.dtype) for each in (found.map, found.map_values)] == ["uint8", "float32"]
    assert found.overlay is not None
    assert found.mask is not None
    assert (found.map.shape, found.map_values.shape, found.overlay.shape) == ((24, 40), (24, 40), (24, 40, 3))
    np.testing.assert_allclose(found.map_values[:, [0, 39]], [[0.0, 230 / 255]] * 24, atol=0.01)
    assert set(np.unique(found.mask)) == {0, 255}
    (region,) = found.regions
    assert region.box[2:] == pytest.approx((20, 24), abs=3)


def test_without_the_middle_class_there_is_no_review(house: House, picture: Picture) -> None:
    reply = ask(house, lambda client: client.score(picture(0.78), review=False))
    assert [one.decision for one in reply] == ["OK"]


def test_products_versions_and_health_are_objects(house: House) -> None:
    (product,) = ask(house, lambda client: client.products())
    assert (product.name, product.state, product.versions) == ("screw", "served", ("1",))
    detail = ask(house, lambda client: client.product("screw"))
    assert detail.threshold is not None
    assert detail.threshold.rate_promised == pytest.approx(0.01, abs=0.01)
    assert ask(house, lambda client: client.versions()).backends["cpu"]
    assert ask(house, lambda client: client.health()).alive
    assert "mkd_ready 1.0" in ask(house, lambda client: client.metrics())
    assert ask(house, lambda client: client.drift("screw")).product == "screw"


def test_a_service_that_is_not_ready_says_why_without_an_exception(house: House) -> None:
    house.engine.is_ready = (False, "the device is warming up")
    found = ask(house, lambda client: client.readiness())
    assert (found.ready, found.reason) == (False, "the device is warming up")


def test_an_operator_changes_products(house: House) -> None:
    verbs: dict[tuple[str, ...], Callable[[AsyncClient], Awaitable[ProductSummary]]] = {
        ("load", "screw", "None"): lambda client: client.load("screw"),
        ("load", "screw", "2"): lambda client: client.load("screw", "2"),
        ("activate", "screw", "2"): lambda client: client.activate("screw", "2"),
        ("unpin", "screw"): lambda client: client.unpin("screw"),
        ("rollback", "screw"): lambda client: client.rollback("screw"),
        ("unload", "screw"): lambda client: client.unload("screw"),
    }
    for verb in verbs.values():
        assert ask(house, verb).name == "screw"
    assert house.registry.asked == list(verbs)


def test_refusals_are_exceptions_by_kind_with_code_and_request_id(house: House, picture: Picture) -> None:
    with pytest.raises(NotFound) as caught:
        ask(house, lambda client: client.score(picture(0.2), product="nut", request_id="shift-3:17"))
    error = caught.value
    assert (error.code, error.status, error.request_id) == ("product_not_found", 404, "shift-3:17")
    assert "screw" in error.detail
    with pytest.raises(NotFound, match="version_not_found"):
        ask(house, lambda client: client.activate("screw", "99"))
    with pytest.raises(InvalidRequest, match="max_false_reject") as caught_too:
        ask(house, lambda client: client.score(picture(0.2), max_false_reject=3))
    assert caught_too.value.errors


def test_a_name_cannot_leave_its_place_in_the_path(house: House) -> None:
    with pytest.raises((NotFound, InvalidRequest)):
        ask(house, lambda client: client.product("../admin"))


def test_too_many_images_and_wrong_keys_have_kinds_of_their_own(open_house: OpenHouse, picture: Picture) -> None:
    secret, key = new_key("line", ["infer"])
    house = open_house(api_keys=key.line(), max_images=2)
    with pytest.raises(TooLarge):
        ask(house, lambda client: client.score(*[picture(0.2)] * 3), key=secret)
    with pytest.raises(Unauthorized):
        ask(house, lambda client: client.products(), key="mkd_wrong")
    assert ask(house, lambda client: client.score(picture(0.2)), key=secret).all_ok


def test_the_deadline_reaches_the_service_and_ends_the_call(house: House, picture: Picture) -> None:
    assert ask(house, lambda client: client.score(picture(0.2), deadline_s=60)).all_ok
    first = house.engine.deadlines[-1]
    assert ask(house, lambda client: client.score(picture(0.2), deadline_s=600)).all_ok
    second = house.engine.deadlines[-1]
    assert first is not None
    assert second is not None
    assert 500 < second - first < 600

    async def never(row: Any) -> Any:
        await asyncio.sleep(3600)

    house.engine.answer = never
    with pytest.raises(DeadlineExceeded):
        ask(house, lambda client: client.score(picture(0.2), deadline_s=0.3))


def test_a_deadline_that_the_service_would_not_take_is_refused_here() -> None:
    with Client() as client:
        for deadline_s in (0, -1, 3601, float("nan")):
            with pytest.raises(ValueError, match="deadline"):
                client.score(b"picture", deadline_s=deadline_s)
    with pytest.raises(ValueError, match="deadline"):
        Client(deadline_s=0)


def test_what_is_no_image_is_refused_before_it_is_sent() -> None:
    wrong: list[Any] = [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), 17, None]
    with Client() as client:
        for image in wrong:
            with pytest.raises(ValueError, match="is no image"):
                client.score(image)


def test_no_image_at_all_is_refused() -> None:
    with Client() as client, pytest.raises(ValueError, match="at least one image"):
        client.score()


def test_a_folder_is_sent_as_one_part_with_its_files(tmp_path: Path) -> None:
    for name in ("right.png", "left.png", ".hidden"):
        (tmp_path / name).write_bytes(name.encode())
    ((_, (name, data, _)),) = parts([tmp_path])
    assert name == tmp_path.name
    assert [(file.name, file.data) for file in stack_files(data)] == [
        ("left.png", b"left.png"),
        ("right.png", b"right.png"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="an image file for each light"):
        parts([tmp_path / "empty"])
