"""GET /events tells every page what is judged and reviewed, again after a cut, and ends at the shutdown."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from service.auth import new_key
from service.feedback.access import FeedbackAccess
from service.feedback.observer import FeedbackObserver
from service.feedback.rows import Changes, Position, VerdictFilter
from service.feedback.settings import FeedbackSettings
from service.feedback.store import FeedbackStore
from service.metrics import Metrics
from service.rest.event_hub import EventHub
from service.rest.event_page import EventPage
from service.shutdown_flag import ShutdownFlag

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, Picture, Serve


class Stream:
    """A page's connection to /events."""

    def __init__(self, port: int, query: str = "", headers: str = "") -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        request = f"GET /events{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
        self.connection.sendall(request.encode())
        self.lines = self.connection.makefile("rb")
        self.status = int(self.lines.readline().split()[1])
        self.headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(self.lines.readline, b"\r\n"))

    def next(self, kind: str) -> tuple[dict[str, Any], int | None]:
        """Data and id of the next event of this kind."""
        event: dict[str, str] = {}
        for line in self.lines:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name in ("event", "id", "data"):
                event[name] = value
            if not name and event:
                if event.get("event") == kind:
                    return json.loads(event["data"]), int(event["id"]) if "id" in event else None
                event = {}
        raise EOFError("the stream has ended")

    def close(self) -> None:
        """Hang up."""
        self.lines.close()
        self.connection.close()

    def ends(self) -> bool:
        """Whether the server ends the stream, after whatever it still says."""
        while self.lines.readline():
            pass
        return True


class Place:
    """A service with a feedback store on a port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        self.streams: list[Stream] = []

    def listen(self, query: str = "", headers: str = "") -> Stream:
        self.streams.append(Stream(self.port, query, headers))
        return self.streams[-1]

    def judge(self, image: bytes, query: str = "") -> None:
        assert self.client.post(f"/score{query}", content=image, headers={"Content-Type": "image/png"}).is_success


Open = Callable[..., Place]


@pytest.fixture
def place(serve: Serve, fake_engine: type[FakeEngine], tmp_path: Path) -> Iterator[Place]:
    engine = fake_engine()
    observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
    made = Place(serve(engine, (observer,)))
    while not made.client.get("/verdicts").is_success:
        time.sleep(0.01)  # the store is opened beside the start
    yield made
    made.client.close()
    for stream in made.streams:
        stream.close()


def test_a_page_is_told_the_state_then_each_verdict_and_review(place: Place, picture: Picture) -> None:
    page = place.listen()
    assert (page.status, page.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    state, _ = page.next("state")
    assert state == {"ready": True, "reason": None, "drift": [], "feedback": {"ok": True, "reason": None}}
    place.judge(picture(0.95), "?station=5")
    row, id_ = page.next("verdict")
    assert (row["decision"], row["station"], row["id"]) == ("NG", "5", id_)
    assert row == place.client.get(f"/verdicts/{id_}").json()
    place.client.post(f"/verdicts/{id_}/reviews", json={"label": "good"})
    row, no_id = page.next("review")
    assert (row["id"], row["reviews"][0]["label"], no_id) == (id_, "good", None)


def test_a_page_is_told_of_its_station_only(place: Place, picture: Picture) -> None:
    page = place.listen("?station=5&product=screw")
    for station in ("4", "5"):
        place.judge(picture(0.1), f"?station={station}")
    assert page.next("verdict")[0]["station"] == "5"


def test_a_page_is_told_of_what_another_process_has_judged(
    place: Place, serve: Serve, fake_engine: type[FakeEngine], picture: Picture, tmp_path: Path
) -> None:
    engine = fake_engine()
    observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
    other = Place(serve(engine, (observer,)))
    page = place.listen()
    page.next("state")
    other.judge(picture(0.95), "?part_id=there")
    row, id_ = page.next("verdict")
    assert row["part_id"] == "there"
    other.client.post(f"/verdicts/{id_}/reviews", json={"label": "good"})
    assert page.next("review")[0]["id"] == id_
    other.client.close()


def test_a_page_that_leaves_what_it_is_told_unread_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rest.event_page.MOST_WAITING_BYTES", 100)
    page = EventPage(VerdictFilter())
    page.put(b"x" * 60)
    assert not page.is_closed
    page.put(b"x" * 60)
    assert page.is_closed


def test_a_page_that_was_cut_off_is_told_what_it_has_missed(place: Place, picture: Picture) -> None:
    page = place.listen()
    for brightness in (0.1, 0.2):
        place.judge(picture(brightness))
    seen = [page.next("verdict")[1] for _ in range(2)]
    page.close()
    place.judge(picture(0.95))
    place.client.post(f"/verdicts/{seen[0]}/reviews", json={"label": "good"})
    while len(place.client.get("/verdicts").json()["verdicts"]) < 3:
        pass
    back = place.listen(headers=f"Last-Event-ID: {seen[1]}\r\n")
    assert back.next("verdict")[0]["decision"] == "NG"
    assert back.next("review")[0]["id"] == seen[0]
    assert place.listen(f"?after={seen[0]}").next("verdict")[1] == seen[1]


def test_a_page_that_slept_too_long_is_told_that_something_is_left_out(
    place: Place, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.rest.event_hub.MOST_AT_ONCE", 2)
    for brightness in (0.1, 0.2, 0.3):
        place.judge(picture(brightness))
    while len(place.client.get("/verdicts").json()["verdicts"]) < 3:
        pass
    back = place.listen(headers="Last-Event-ID: 0\r\n")
    assert back.next("gap")[0] == {"before": 2}
    assert [back.next("verdict")[1] for _ in range(2)] == [2, 3]


def test_a_client_that_leaves_before_the_first_byte_leaves_no_page_behind(tmp_path: Path) -> None:
    metrics = Metrics()
    store = FeedbackStore(FeedbackSettings(folder=tmp_path), metrics)
    store.open()
    access = FeedbackAccess(store, metrics)
    hub = EventHub(access, lambda _: {}, ShutdownFlag(), metrics)

    async def come_and_go() -> int:
        stream = await hub.listen(VerdictFilter(), None)
        there = len(hub._pages)
        del stream
        return there - len(hub._pages)

    assert asyncio.run(come_and_go()) == 1
    access.close()
    store.close()


@pytest.mark.parametrize("ended", ["key", "session"])
def test_a_stream_ends_with_its_key_and_with_its_session(
    serve: Serve, fake_engine: type[FakeEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    (secret, key), (_, other), file = new_key("anna", ["view"]), new_key("ben", ["view"]), tmp_path / "keys"
    file.write_text(f"{key.line()}\n{other.line()}\n")
    engine = fake_engine()
    observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
    place = Place(serve(engine, (observer,), api_keys_file=file))
    monkeypatch.setattr("service.sessions.LASTS_S", 2.0)
    place.client.post("/session", json={"key": secret})
    sent = {"session": f"Cookie: mkd_session={place.client.cookies['mkd_session']}", "key": f"X-API-Key: {secret}"}
    page = place.listen(headers=f"{sent[ended]}\r\nConnection: close\r\n")
    page.next("state")
    if ended == "key":
        file.write_text(f"{other.line()}\n")
    assert page.ends()
    page.close()
    place.client.close()


class SlowStore:
    """A store whose end is told when the test says so; notes from where on changes are asked for."""

    def __init__(self) -> None:
        self.store = SimpleNamespace(trouble=None)
        self.ends: list[asyncio.Future[Position]] = []
        self.asked: list[Position] = []
        self.two_wait, self.has_looked = asyncio.Event(), asyncio.Event()

    async def now(self) -> Position:
        self.ends.append(asyncio.get_running_loop().create_future())
        if len(self.ends) == 2:
            self.two_wait.set()
        return await self.ends[-1]

    async def since(self, position: Position, most: int) -> Changes:
        self.asked.append(position)
        self.has_looked.set()
        return Changes([], [], position)


def test_a_page_that_comes_while_the_store_is_looked_at_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rest.event_hub.POLL_S", 0.001)
    store = SlowStore()
    hub = EventHub(cast(FeedbackAccess, store), lambda _: {}, ShutdownFlag(), Metrics())

    async def come() -> None:
        looking = asyncio.create_task(hub.run())
        coming = asyncio.create_task(hub.listen(VerdictFilter(), None))
        await store.two_wait.wait()
        store.ends[0].set_result(Position(0, 0))
        stream = await coming
        store.ends[1].set_result(Position(1, 0))  # judged after the page was there
        await store.has_looked.wait()
        assert store.asked[0] == Position(0, 0)
        del stream
        looking.cancel()

    asyncio.run(come())


def test_the_shutdown_ends_every_stream(place: Place, serve: Serve) -> None:
    page = place.listen()
    page.next("state")
    serve.stop()  # type: ignore[attr-defined]
    assert page.ends()


def test_an_id_that_is_none_is_refused(place: Place) -> None:
    answer = place.client.get("/events", headers={"Last-Event-ID": "yesterday"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
