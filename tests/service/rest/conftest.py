"""A house for the HTTP tests: the real application around fakes of engine and registry, called without a network."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from models.backends.base import SourceKey
from models.calibration.conformal import Calibration, MapScale
from models.detector import Row
from models.heads.base import Head
from models.image_judge import ImageJudge
from models.imaging.input_statistics import InputStatistics
from models.imaging.preprocess import Preprocessing
from service.engine.admission import Admission
from service.engine.engine import DrainReport, TimedJudgement
from service.engine.observer import Observer
from service.errors import ProductNotFound, ProductRequired, ServiceError, VersionGone, VersionNotFound
from service.inspection.observers import VerdictObserver
from service.logs import JsonLines
from service.metrics import Metrics
from service.products.product import ProductStatus
from service.run.application import create_app, lifecycle_of
from service.run.components import Components
from service.run.lifecycle import Lifecycle
from service.run.server import make_server
from service.run.settings import Settings

SIDE = 32
NG_BRIGHTNESS = 0.8

# 199 held-out scores up to 0.8: 5 % lies near 0.76, 1 % near 0.8, and no rate under 1 / 200 can be promised.
CALIBRATION = Calibration(
    scores=tuple(np.linspace(0.0, NG_BRIGHTNESS, 199).tolist()),
    map_scale=MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05),
)
PREPROCESSING = Preprocessing(image_size=SIDE)


@dataclass(frozen=True)
class FakeVersion:
    """A product whose score is the image's brightness: dark is OK, above 0.76 REVIEW, above 0.8 NG."""

    name: str = "screw"
    version: str = "1"
    hash: str = "ab" * 32
    method: str = "mkd"
    calibration: Calibration = CALIBRATION
    preprocessing: Preprocessing = PREPROCESSING
    input_statistics: InputStatistics | None = None
    scores_are_of_another_kind: bool = False

    @property
    def judge(self) -> ImageJudge:
        return ImageJudge(cast(Head, None), cast(SourceKey, None), self.preprocessing)


class FakeEngine:
    """Judges by brightness; `answer` may be replaced to fail, to wait or to talk nonsense."""

    def __init__(self, max_images: int = 512, max_bytes: int = 512 << 20) -> None:
        self.metrics = Metrics()
        self.admission = Admission(
            max_images=max_images, max_bytes=max_bytes, rate=lambda: None, observer=Observer(self.metrics)
        )
        self.answer: Callable[[Row], Awaitable[TimedJudgement | ServiceError]] = self.brightness
        self.is_ready: tuple[bool, str] = (True, "")
        self.is_live = True
        self.judged: list[Row] = []
        self.deadlines: list[float | None] = []
        self.cancelled = 0
        self.given_back = 0
        self.drained: list[float] = []

    @staticmethod
    async def brightness(row: Row) -> TimedJudgement | ServiceError:
        map_ = np.asarray(row.image.mean(axis=0), dtype=np.float32) if row.wants_map else None
        return TimedJudgement(float(row.image.mean()), map_, 0.001, 0.002, 1)

    def start(self) -> None: ...

    async def judge(self, rows: Sequence[Row], *, deadline: float | None = None) -> list[TimedJudgement | ServiceError]:
        self.judged.extend(rows)
        self.deadlines.append(deadline)
        try:
            return [await self.answer(row) for row in rows]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def ready(self) -> tuple[bool, str]:
        return self.is_ready

    def live(self) -> bool:
        return self.is_live

    def give_back(self) -> None:
        self.given_back += 1

    def backends(self) -> dict[str, dict[str, str]]:
        return {"cpu": {"vgg16 in float32": "torch (asked for)"}}

    async def drain(self, limit_s: float) -> DrainReport:
        self.drained.append(limit_s)
        self.admission.close()
        return DrainReport(0.0, 0, 0)


def status(version: FakeVersion, **changes: Any) -> ProductStatus:
    known = ProductStatus(
        name=version.name,
        state="served",
        version=version.version,
        method=version.method,
        hash=version.hash,
        versions=(version.version,),
        pinned=None,
        previous=None,
        leases=0,
        head_bytes=1,
    )
    return replace(known, **changes)


class FakeRegistry:
    """Holds versions by product name; notes what admin routes ask for."""

    def __init__(self, *versions: FakeVersion) -> None:
        self.versions = {version.name: version for version in versions}
        self.asked: list[tuple[str, ...]] = []
        self.refuse: ServiceError | None = None
        self.state: str = "served"
        self.leased = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def _find(self, product: str | None) -> FakeVersion:
        if product is None and len(self.versions) != 1:
            raise ProductRequired(f"name one of: {', '.join(self.versions)}")
        name = product or next(iter(self.versions))
        if name not in self.versions:
            raise ProductNotFound(f"{name!r} is not one of: {', '.join(self.versions)}")
        return self.versions[name]

    @asynccontextmanager
    async def lease(self, product: str | None, *, deadline: float | None = None) -> AsyncIterator[FakeVersion]:
        version = self._find(product)
        self.leased += 1
        try:
            yield version
        finally:
            self.leased -= 1

    @asynccontextmanager
    async def lease_loaded(self, product: str, hash_: str) -> AsyncIterator[FakeVersion]:
        found = self.versions.get(product)
        if found is None or found.hash != hash_:
            raise VersionGone(f"{product} {hash_[:12]} is not loaded any more")
        yield found

    def products(self) -> list[ProductStatus]:
        return [status(version) for version in self.versions.values()]

    def status(self, product: str) -> ProductStatus:
        return status(self._find(product), state=self.state)

    def ready(self) -> tuple[bool, str]:
        return (True, "") if self.versions else (False, "no product has been loaded")

    async def _do(self, *words: str) -> ProductStatus:
        self.asked.append(words)
        if self.refuse is not None:
            raise self.refuse
        return status(self._find(words[1]))

    async def load(self, product: str, version: str | None = None) -> ProductStatus:
        return await self._do("load", product, str(version))

    async def activate(self, product: str, version: str) -> ProductStatus:
        if version == "99":
            raise VersionNotFound("there is no version 99")
        return await self._do("activate", product, version)

    async def unpin(self, product: str) -> ProductStatus:
        return await self._do("unpin", product)

    async def rollback(self, product: str) -> ProductStatus:
        return await self._do("rollback", product)

    async def unload(self, product: str) -> ProductStatus:
        return await self._do("unload", product)


@dataclass
class House:
    """A running application. Calls are synchronous; `run` takes a coroutine for what must happen at the same time."""

    runner: asyncio.Runner
    engine: FakeEngine
    registry: FakeRegistry
    app: Any
    application: FastAPI
    settings: Settings
    client: httpx.AsyncClient
    stack: AsyncExitStack

    @property
    def lifecycle(self) -> Lifecycle:
        return lifecycle_of(self.application)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def get(self, path: str, **options: Any) -> httpx.Response:
        response: httpx.Response = self.run(self.client.get(path, **options))
        return response

    def post(self, path: str, **options: Any) -> httpx.Response:
        response: httpx.Response = self.run(self.client.post(path, **options))
        return response

    def score(self, *images: bytes, path: str = "/score", **options: Any) -> httpx.Response:
        files = [("image", (f"{number}.png", data)) for number, data in enumerate(images)]
        return self.post(path, files=files, **options)


def with_state(app: Any, state: Mapping[str, Any] | None) -> Any:
    """What a server does with the lifespan's state."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": dict(state or {})}, receive, send)

    return wrapped


OpenHouse = Callable[..., House]


@pytest.fixture
def open_house() -> Iterator[OpenHouse]:
    """Start an application with these settings; engine, registry and observers may be given."""
    with asyncio.Runner() as runner:
        houses: list[House] = []

        def start(
            engine: FakeEngine | None = None,
            registry: FakeRegistry | None = None,
            observers: tuple[VerdictObserver, ...] = (),
            **settings: Any,
        ) -> House:
            used = Settings(**settings)
            judge, products = engine or FakeEngine(), registry or FakeRegistry(FakeVersion())
            parts = Components(judge, products, judge.metrics, 2, observers)  # type: ignore[arg-type]
            app = create_app(used, lambda _: parts)
            stack = AsyncExitStack()
            state = runner.run(stack.enter_async_context(app.router.lifespan_context(app)))
            transport = httpx.ASGITransport(with_state(app, state))
            client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
            houses.append(House(runner, judge, products, with_state(app, state), app, used, client, stack))
            return houses[-1]

        yield start
        for house in houses:
            runner.run(house.client.aclose())
            runner.run(house.stack.aclose())


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    """An application with the default settings."""
    return open_house()


@pytest.fixture
def fake_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture
def fake_registry() -> type[FakeRegistry]:
    return FakeRegistry


@pytest.fixture
def fake_version() -> type[FakeVersion]:
    return FakeVersion


Picture = Callable[..., bytes]


@pytest.fixture
def picture() -> Picture:
    """Encode a flat image: `picture(brightness, mode="RGB", form="PNG", size=(40, 24))`."""

    def make(
        brightness: float = 0.2, mode: str = "RGB", form: str = "PNG", size: tuple[int, int] = (40, 24), **options: Any
    ) -> bytes:
        white = 65535 if mode == "I;16" else 255
        grey = Image.new("L" if mode != "I;16" else "I;16", size, round(brightness * white))
        image = grey if mode in ("L", "I;16") else grey.convert("RGB").convert(mode)
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return make


@pytest.fixture
def as_base64() -> Callable[[bytes], str]:
    return lambda data: base64.b64encode(data).decode()


Serve = Callable[..., int]
Talk = Callable[[int, bytes], tuple[int, dict[str, str], dict[str, Any]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve on a free port in a thread, with this engine and these observers where given; gives the port."""
    running: list[tuple[Any, threading.Thread]] = []

    def start(engine: FakeEngine | None = None, observers: tuple[VerdictObserver, ...] = (), **settings: Any) -> int:
        used = Settings(port=0, drain_s=1.0, **settings)
        judge = engine or FakeEngine()
        parts = Components(judge, FakeRegistry(FakeVersion()), judge.metrics, 1, observers)  # type: ignore[arg-type]
        server = make_server(create_app(used, lambda _: parts), used)
        shared = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([shared],))
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return int(shared.getsockname()[1])

    def stop() -> None:
        for server, _ in running:
            server.should_exit = True

    start.stop = stop  # type: ignore[attr-defined]
    yield start
    stop()
    for _, thread in running:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def talk() -> Talk:
    """Send these bytes and read the answer until the server closes: status, headers in lower case, body."""
    return talk_to


def talk_to(port: int, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *rows = head.decode().split("\r\n")
    headers = dict(row.lower().split(": ", 1) for row in rows)
    return int(status.split()[1]), headers, json.loads(body)


@pytest.fixture
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """The log lines of the service, as they would be written."""
    found: list[dict[str, Any]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(JsonLines().format(record)))

    logger, keeper = logging.getLogger("mkdserve"), Keeper()
    before = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(keeper)
    logger.setLevel(before)
