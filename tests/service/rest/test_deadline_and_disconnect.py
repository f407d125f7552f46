"""Deadlines reach the engine; a client that hangs up takes its images along."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from service.errors import RequestCancelled

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture


def test_the_deadline_header_counts_from_the_first_byte(house: House, picture: Picture) -> None:
    before = time.monotonic()
    house.score(picture(), headers={"X-Deadline-Ms": "60000"})
    (deadline,) = house.engine.deadlines
    assert deadline is not None
    assert before + 60 <= deadline <= time.monotonic() + 60


def test_the_servers_default_holds_where_the_header_is_missing(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(deadline_ms=5000.0)
    house.score(picture())
    (deadline,) = house.engine.deadlines
    assert deadline is not None
    assert deadline <= time.monotonic() + 5


def test_zero_as_default_means_no_deadline(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(deadline_ms=0.0)
    house.score(picture())
    assert house.engine.deadlines == [None]


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1e3", "nan", "inf", "", "3600001", "99999999"])
def test_a_deadline_that_is_no_time_is_refused(house: House, picture: Picture, value: str) -> None:
    response = house.score(picture(), headers={"X-Deadline-Ms": value})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_parameter"


def test_a_deadline_that_is_over_before_decoding_is_504(house: House, picture: Picture) -> None:
    response = house.score(picture(), headers={"X-Deadline-Ms": "0.001"})
    assert response.status_code == 504
    assert response.json()["code"] == "deadline_exceeded"
    assert house.engine.judged == []


def test_a_body_that_comes_too_slowly_for_its_deadline_is_504(house: House, picture: Picture) -> None:
    async def dripping() -> Any:
        yield picture()[:20]
        await asyncio.sleep(3600)

    headers = {"Content-Type": "image/png", "X-Deadline-Ms": "50", "Expect": "100-continue"}
    response = house.post("/score", content=dripping(), headers=headers)
    assert response.status_code == 504


def test_a_map_that_is_made_too_late_is_504(house: House, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inspection.inspection.map_pictures", lambda *_: time.sleep(0.3))
    response = house.score(picture(), path="/localize", headers={"X-Deadline-Ms": "200"})
    assert response.status_code == 504
    assert response.json()["code"] == "deadline_exceeded"


class Caller:
    """A client on the other end of a raw ASGI call, who may hang up."""

    def __init__(self, body: list[bytes], complete: bool = True) -> None:
        self.left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": not (complete and piece is body[-1])} for piece in body
        ]

    async def receive(self) -> dict[str, Any]:
        if self._messages:
            return self._messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "method": "POST",
            "path": "/score",
            "raw_path": b"/score",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")],
            "server": ("service", 80),
            "client": ("client", 1),
            "http_version": "1.1",
        }


def test_a_client_that_hangs_up_while_it_waits_takes_its_images_along(house: House, picture: Picture) -> None:
    async def scenario() -> None:
        caller, asked = Caller([picture()]), asyncio.Event()

        async def slow(row: Any) -> Any:
            asked.set()
            await asyncio.sleep(3600)

        house.engine.answer = slow
        call = asyncio.create_task(house.app(caller.scope(), caller.receive, caller.send))
        await asked.wait()
        caller.left.set()
        await call

    house.run(scenario())
    assert house.engine.cancelled == 1
    assert house.engine.admission.images == 0
    assert house.registry.leased == 0
    value = house.engine.metrics.value
    assert value("mkd_requests_total", route="/score", outcome=RequestCancelled.code) == 1


def test_a_client_that_hangs_up_while_it_sends_leaves_nothing_behind(house: House, picture: Picture) -> None:
    async def scenario() -> None:
        caller = Caller([picture()], complete=False)
        caller.left.set()
        await house.app(caller.scope(), caller.receive, caller.send)

    house.run(scenario())
    assert house.engine.judged == []
    assert house.engine.admission.images == 0
    assert house.registry.leased == 0


def test_a_client_that_stays_gets_its_answer_although_it_is_watched(house: House, picture: Picture) -> None:
    async def scenario() -> int:
        caller = Caller([picture()[:50], picture()[50:]])
        await house.app(caller.scope(), caller.receive, caller.send)
        return int(caller.sent[0]["status"])

    assert house.run(scenario()) == 200


def test_a_server_that_gives_up_on_a_request_cancels_its_images(house: House, picture: Picture) -> None:
    async def scenario() -> None:
        caller, asked = Caller([picture()]), asyncio.Event()

        async def slow(row: Any) -> Any:
            asked.set()
            await asyncio.sleep(3600)

        house.engine.answer = slow
        call = asyncio.create_task(house.app(caller.scope(), caller.receive, caller.send))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    house.run(scenario())
    assert house.engine.cancelled == 1
    assert house.engine.admission.images == 0
