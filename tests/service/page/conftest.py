"""A running service with keys and a feedback store, and the system's chromium to look at its page with."""

from __future__ import annotations

import io
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from starlette.middleware import Middleware

from service.auth import new_key
from service.metrics import Metrics
from service.run.application import create_app
from service.run.assembly import observers
from service.run.components import Components
from service.run.server import make_server
from service.run.settings import Settings
from tests.service.page.answers import MadeUpAnswers, MadeUpAnswersMiddleware
from tests.service.rest.conftest import FakeEngine, FakeRegistry, FakeVersion

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

OK, REVIEW, NG = 0.3, 0.78, 0.95  # brightness of a picture that becomes this
STEP = 0.0001  # no two pictures alike
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
PATIENCE_MS = 10_000


@dataclass
class Served:
    """A service on a port, and the keys to it by the name of whom they belong to."""

    url: str
    keys: dict[str, str]
    metrics: Metrics
    answers: MadeUpAnswers
    count: int = 0
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def judge(self, brightness: float, part_id: str | None = None, station: str = "press") -> str:
        """Have one part judged; its id."""
        self.count += 1
        part_id = part_id or f"P-{self.count}"
        sent = {"X-API-Key": self.keys["line"], "Content-Type": "image/png", "X-Part-Id": part_id, "X-Station": station}
        answer = self.client.post(
            f"{self.url}/score",
            content=picture(brightness + self.count * STEP),
            headers=sent,
            params={"product": "screw"},
        )
        assert answer.status_code == 200, answer.text
        return part_id

    def get(self, path: str, who: str = "boss", **query: Any) -> Any:
        """A JSON answer."""
        answer = self.client.get(f"{self.url}{path}", headers={"X-API-Key": self.keys[who]}, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def wait_for(self, part_id: str) -> dict[str, Any]:
        """The stored verdict of a part; the store writes a moment after the answer."""
        for _ in range(200):
            if found := self.get("/verdicts", part_id=part_id)["verdicts"]:
                row: dict[str, Any] = found[0]
                return row
            time.sleep(0.05)
        raise AssertionError(f"{part_id} has not been stored")

    def wait_for_the_store(self) -> None:
        """It is opened beside the start of the service."""
        headers = {"X-API-Key": self.keys["boss"]}
        for _ in range(400):
            if self.client.get(f"{self.url}/verdicts", headers=headers).is_success:
                return
            time.sleep(0.05)
        raise AssertionError("the feedback store has not been opened")

    def say(self, who: str, part_id: str, label: str) -> None:
        """A person's judgement over HTTP."""
        row = self.wait_for(part_id)
        answer = self.client.post(
            f"{self.url}/verdicts/{row['id']}/reviews", json={"label": label}, headers={"X-API-Key": self.keys[who]}
        )
        assert answer.status_code == 201, answer.text


def picture(brightness: float) -> bytes:
    """A flat PNG."""
    stream = io.BytesIO()
    Image.new("I;16", (60, 40), round(brightness * 65535)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose verdicts go by brightness; keys: line, eye (view), anna and ben (review), boss (admin)."""
    scopes = {"line": ["infer"], "eye": ["view"], "anna": ["review"], "ben": ["review"], "boss": ["admin", "infer"]}
    made = {name: new_key(name, allowed) for name, allowed in scopes.items()}
    settings = Settings(
        port=0,
        drain_s=1.0,
        api_keys=" ".join(key.line() for _, key in made.values()),
        feedback=str(tmp_path_factory.mktemp("feedback")),
        spot_check_share=0.0,
    )
    engine = FakeEngine()
    told = observers(settings, engine.metrics)
    parts = Components(engine, FakeRegistry(FakeVersion()), engine.metrics, 1, told)  # type: ignore[arg-type]
    app, made_up = create_app(settings, lambda _: parts), MadeUpAnswers()
    app.user_middleware.append(Middleware(MadeUpAnswersMiddleware, answers=made_up))  # the innermost
    server = make_server(app, settings)
    port = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([port],))
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    url, keys = f"http://127.0.0.1:{port.getsockname()[1]}", {name: secret for name, (secret, _) in made.items()}
    found = Served(url, keys, engine.metrics, made_up)
    found.wait_for_the_store()
    yield found
    found.client.close()
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's chromium; skips where it or playwright is not there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make install-dev")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def answers(served: Served) -> Iterator[MadeUpAnswers]:
    """Answers that the test makes up in place of the service's own."""
    yield served.answers
    served.answers.clear()


Open = Callable[..., "Page"]
OpenContext = Callable[..., "BrowserContext"]


@pytest.fixture(scope="module")
def open_context(browser: Browser, served: Served) -> Iterator[OpenContext]:
    """A person's browser: one for all tests of a file that ask for the same, so that the page's files come once."""
    contexts: dict[tuple[Any, ...], BrowserContext] = {}

    def start(who: str | None, size: tuple[int, int], language: str, theme: Any, *, alone: bool) -> BrowserContext:
        wanted = (who, size, language, theme, len(contexts) if alone else None)
        if wanted not in contexts:
            width, height = size
            context = contexts[wanted] = browser.new_context(
                viewport={"width": width, "height": height}, locale=language, color_scheme=theme, base_url=served.url
            )
            context.set_default_timeout(PATIENCE_MS)
            if who is not None:
                log_in(context, served, who)
        return contexts[wanted]

    yield start
    for context in contexts.values():
        context.close()


@pytest.fixture
def open_page(open_context: OpenContext) -> Iterator[Open]:
    """Open a view as somebody: `open_page("live", who="anna", size=(390, 844), language="de", theme="dark")`.

    A test that changes cookies, headers, clock or network asks for a browser `alone`. Afterwards no script may have
    failed and nothing may have been stopped by the page's own policy.
    """
    pages: list[Page] = []
    faults: list[str] = []

    def start(
        view: str,
        *,
        who: str | None = "boss",
        size: tuple[int, int] = (1280, 800),
        language: str = "en",
        theme: Any = "light",
        alone: bool = False,
        before: Callable[[Page], None] = lambda _: None,
    ) -> Page:
        page = open_context(who, size, language, theme, alone=alone or who is None).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda told: faults.append(told.text) if "Content Security Policy" in told.text else None)
        before(page)
        page.goto(f"/ui/#/{view}", wait_until="commit")  # each test waits for what it wants to see, not for every file
        return page

    yield start
    for page in pages:
        page.evaluate("localStorage.clear()")
        page.close()
    assert faults == []


def slow_frames(page: Page) -> None:
    """As on a machine without time for frames: effects run 100 ms after what they belong to, answers come before."""
    page.add_init_script("window.requestAnimationFrame = () => 0")


def own_connection(page: Page) -> None:
    """As where a browser has no shared workers: events come to the page itself, through what a test puts between."""
    page.add_init_script("delete window.SharedWorker")


def log_in(context: BrowserContext, served: Served, who: str) -> None:
    """As the page does it, without its form."""
    answer = context.request.post(
        f"{served.url}/session", data={"key": served.keys[who]}, headers={"Origin": served.url}
    )
    assert answer.status == 204


def see(page: Page, locator: str, text: str | re.Pattern[str]) -> None:
    """Wait until the first element of `locator` shows this text."""
    from playwright.sync_api import expect

    expect(page.locator(locator).first).to_contain_text(text, timeout=2 * PATIENCE_MS)
