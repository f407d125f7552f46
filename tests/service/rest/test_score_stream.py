"""POST /score/stream over a real port: lines in order, bounded work, and an end that says whether it is one."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.errors import ServiceError
from service.rest.image_stream import VIEWS_AT_ONCE

if TYPE_CHECKING:
    from models.detector import Row
    from service.engine.engine import TimedJudgement
    from tests.service.rest.conftest import FakeEngine, Picture, Serve, Talk

Line = dict[str, Any]
HEAD = b"POST /score/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n"
CHUNK = 64 << 10


def archive(*files: tuple[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


class Stream:
    """A client that sends and reads when it is told to."""

    def __init__(self, port: int, headers: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.sendall(HEAD + headers + b"\r\n")
        self._answer = self.socket.makefile("rb")
        self._status = 0
        self._left = b""

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            self.socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))

    def end(self) -> None:
        self.socket.sendall(b"0\r\n\r\n")

    def send_all(self, data: bytes) -> None:
        self.send(data)
        self.end()

    def status(self) -> int:
        if not self._status:
            self._status = int(self._answer.readline().split()[1])
            while self._answer.readline().strip():
                pass
        return self._status

    def line(self) -> Line | None:
        """The next one; None behind the last."""
        assert self.status() == 200
        while b"\n" not in self._left:
            size = int(self._answer.readline() or b"0", 16)
            self._left += self._answer.read(size)
            self._answer.readline()
            if not size:
                return None
        line, _, self._left = self._left.partition(b"\n")
        found: Line = json.loads(line)
        return found

    def lines(self) -> list[Line]:
        return list(iter(self.line, None))

    def close(self) -> None:
        self._answer.close()
        self.socket.close()


@pytest.fixture
def stream() -> Iterable[Callable[..., Stream]]:
    opened: list[Stream] = []

    def start(port: int, headers: bytes = b"") -> Stream:
        opened.append(Stream(port, headers))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def judged(stream: Callable[..., Stream], port: int, body: bytes) -> list[Line]:
    client = stream(port)
    client.send_all(body)
    return client.lines()


def wait_for(condition: Callable[[], bool]) -> None:
    late = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < late
        time.sleep(0.01)


def test_each_file_gets_a_line_in_order_and_the_last_line_says_that_all_are_there(
    serve: Serve, stream: Callable[..., Stream], picture: Picture
) -> None:
    files = [(f"lot/../{number}.png", picture(0.1 if number % 3 else 0.9)) for number in range(300)]
    *lines, end = judged(stream, serve(), archive(*files))
    assert [(line["index"], line["filename"]) for line in lines] == [(n, f"{n}.png") for n in range(300)]
    assert [line["decision"] for line in lines] == ["OK" if number % 3 else "NG" for number in range(300)]
    request_id = end["end"].pop("request_id")
    assert end == {"end": {"complete": True, "images": 300, "verdicts": 300}}
    assert request_id


def test_a_line_is_there_before_the_next_image_is_sent(
    serve: Serve, stream: Callable[..., Stream], picture: Picture, fake_engine: type[FakeEngine]
) -> None:
    engine = fake_engine()
    client = stream(serve(engine), b"X-Deadline-Ms: 60000\r\n")
    one = archive(("a.png", picture()))[: 512 + -(-len(picture()) // 512) * 512]
    for number in range(3):
        client.send(one)
        line = client.line()
        assert line is not None
        assert line["index"] == number
    client.send(bytes(1024))
    client.end()
    (end,) = client.lines()
    assert end["end"]["complete"]
    first, second, third = engine.deadlines
    assert first is not None
    assert second is not None
    assert third is not None
    assert first < second < third  # each image has the time from its own arrival on


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_is_no_image_has_its_own_line_and_harms_no_other(
    serve: Serve, stream: Callable[..., Stream], picture: Picture, form: int
) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=form) as members:
        folder, link = tarfile.TarInfo("lot"), tarfile.TarInfo("link.png")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        members.addfile(folder)
        members.addfile(link)
        name = "é" * 60 + ".png" if form != tarfile.USTAR_FORMAT else "e.png"
        for named, data in ((name, picture()), ("x.txt", b"hello"), ("0.png", b""), ("big.png", bytes(70_000))):
            member = tarfile.TarInfo(named)
            member.size = len(data)
            members.addfile(member, io.BytesIO(data))
        last = tarfile.TarInfo("/last.png")
        last.size = len(picture())
        members.addfile(last, io.BytesIO(picture()))
    *lines, end = judged(stream, serve(max_image_bytes=60_000), tar.getvalue())
    codes = [line["error"]["code"] if "error" in line else line["decision"] for line in lines]
    assert codes == ["image_unreadable", "OK", "image_unreadable", "image_empty", "image_too_many_bytes", "OK"]
    assert [lines[1]["filename"], lines[5]["filename"]] == [name, "last.png"]
    assert (end["end"]["complete"], end["end"]["images"], end["end"]["verdicts"]) == (True, 6, 2)


def test_a_tar_that_ends_early_says_so(serve: Serve, stream: Callable[..., Stream], picture: Picture) -> None:
    port, whole = serve(), archive(("a.png", picture()), ("b.png", picture()))
    length = 512 + -(-len(picture()) // 512) * 512
    for cut, images, verdicts in ((length + 512 + 20, 2, 1), (length + 100, 1, 1), (length, 1, 1), (2 * length, 2, 2)):
        *lines, end = judged(stream, port, whole[:cut])
        assert (end["end"]["complete"], end["end"]["error"]["code"]) == (False, "malformed_request")
        assert (end["end"]["images"], end["end"]["verdicts"], len(lines)) == (images, verdicts, images)
        assert all(line["error"]["code"] == "image_truncated" for line in lines[verdicts:])


def test_what_is_wrong_before_the_first_image_is_a_problem(serve: Serve, talk: Talk, picture: Picture) -> None:
    port = serve()

    def answer(body: bytes, kind: str = "application/x-tar", query: str = "") -> tuple[int, str]:
        head = f"POST /score/stream{query} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
        status, _, problem = talk(port, f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        return status, problem["code"]

    whole = archive(("a.png", picture()))
    assert answer(picture()) == (400, "malformed_request")
    assert answer(b"\x1f\x8b" + bytes(600)) == (400, "malformed_request")
    assert answer(whole[:300]) == (400, "malformed_request")
    assert answer(archive()) == (422, "no_images")
    assert answer(whole, "application/zip") == (415, "unsupported_body")
    assert answer(whole, query="?product=bolt") == (404, "product_not_found")
    assert answer(whole, query="?overlay=true") == (422, "invalid_parameter")


def test_a_client_that_does_not_read_makes_nobody_work_ahead(
    serve: Serve, stream: Callable[..., Stream], fake_engine: type[FakeEngine]
) -> None:
    """40 MB of images whose verdicts are held back: no more than a window of them is taken off the wire."""
    engine, gate = fake_engine(), threading.Event()

    async def held(row: Row) -> TimedJudgement | ServiceError:
        await asyncio.to_thread(gate.wait)
        return await engine.brightness(row)

    engine.answer = held
    client = stream(serve(engine, send_timeout_s=60.0))
    noise = np.random.default_rng(0).integers(0, 256, (180, 180, 3), np.uint8)
    data = bmp(noise)
    body = archive(*[(f"{number}.bmp", data) for number in range(400)])
    sender = threading.Thread(target=client.send_all, args=(body,))
    sender.start()
    wait_for(lambda: len(engine.judged) == VIEWS_AT_ONCE)
    assert engine.admission.images == VIEWS_AT_ONCE
    assert sender.is_alive()
    gate.set()
    *lines, end = client.lines()
    sender.join()
    assert len(lines) == end["end"]["verdicts"] == 400
    wait_for(lambda: engine.admission.images == engine.admission.size == 0)


def bmp(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    import cv2

    return cv2.imencode(".bmp", pixels)[1].tobytes()


def test_a_service_that_is_full_makes_a_stream_wait_and_refuses_nothing(
    serve: Serve, stream: Callable[..., Stream], picture: Picture, fake_engine: type[FakeEngine]
) -> None:
    engine = fake_engine(max_images=1)
    port = serve(engine, max_images=1, max_waiting_images=1)
    *lines, end = judged(stream, port, archive(*[(f"{number}.png", picture()) for number in range(20)]))
    assert [line["decision"] for line in lines] == 20 * ["OK"]
    assert end["end"]["complete"]
    assert engine.metrics.value("mkd_rejections_total", reason="images") in (None, 0)


def test_a_pause_that_is_too_long_ends_the_stream_with_a_last_line(
    serve: Serve, stream: Callable[..., Stream], picture: Picture
) -> None:
    client = stream(serve(body_pause_s=0.3))
    client.send(archive(("a.png", picture()), ("b.png", picture()))[:1300])
    *_, end = client.lines()
    assert end["end"]["error"]["code"] == "body_too_slow"


def test_more_images_than_a_stream_may_have_end_it(
    serve: Serve, stream: Callable[..., Stream], picture: Picture
) -> None:
    body = archive(*[(f"{number}.png", picture()) for number in range(4)])
    *lines, end = judged(stream, serve(max_stream_images=2), body)
    assert [line["decision"] for line in lines] == ["OK", "OK"]
    assert (end["end"]["images"], end["end"]["error"]["code"]) == (2, "too_many_images")


@pytest.mark.parametrize("whole", [True, False])
def test_a_client_that_hangs_up_takes_its_images_along(
    serve: Serve, stream: Callable[..., Stream], picture: Picture, fake_engine: type[FakeEngine], whole: bool
) -> None:
    engine = fake_engine()

    async def never(_: Row) -> TimedJudgement | ServiceError:
        await asyncio.sleep(3600)
        raise AssertionError

    engine.answer = never
    client = stream(serve(engine))
    body = archive(*[(f"{number}.png", picture()) for number in range(3)])
    client.send(body if whole else body[:2100])
    if whole:
        client.end()
    wait_for(lambda: len(engine.judged) >= 1)
    client.close()
    wait_for(lambda: engine.cancelled >= 1 and engine.admission.images == engine.admission.size == 0)
    value = engine.metrics.value
    wait_for(lambda: value("mkd_requests_total", route="/score/stream", outcome="client_closed_request") == 1)


def test_a_stop_finishes_what_is_in_hand_and_says_the_last_line(
    serve: Serve, stream: Callable[..., Stream], picture: Picture
) -> None:
    client = stream(serve())
    client.send(archive(("a.png", picture()), ("b.png", picture()))[:1024])
    assert client.line() is not None
    serve.stop()  # type: ignore[attr-defined]
    *_, end = client.lines()
    assert (end["end"]["complete"], end["end"]["error"]["code"]) == (False, "shutting_down")
    assert end["end"]["verdicts"] == 1
    with suppress(OSError):
        client.send(bytes(512))
