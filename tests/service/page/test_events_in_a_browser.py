"""Events in the page: of many pages in one browser, over a network that breaks, beside a list that is being read."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.service.page.conftest import NG, OK, see

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.service.page.conftest import Open, Served

pytestmark = pytest.mark.long
MANY = 8  # more than the six connections that a browser makes to one service


@pytest.fixture(scope="module", autouse=True)
def a_part(served: Served) -> None:
    """One part before anybody looks."""
    served.wait_for(served.judge(OK))


class Relay:
    """A network between browser and service, which can be cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._is_cut = False
        self._changing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def cut(self) -> None:
        """End what is open; nothing new passes."""
        with self._changing:
            self._is_cut = True
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let new connections through."""
        self._is_cut = False

    def close(self) -> None:
        """For good."""
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in (self._listening, *self._open):
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                with self._changing:
                    if self._is_cut:
                        here.close()
                        continue
                    there = socket.create_connection(("127.0.0.1", self._to))
                    self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    self._begin(_pump, one, other)

    def _begin(self, work: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=args, daemon=True))
        self._threads[-1].start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def relay(served: Served) -> Iterator[Relay]:
    port = urlsplit(served.url).port
    assert port is not None
    made = Relay(port)
    yield made
    made.close()


def wait_for_streams(served: Served, count: int) -> None:
    """Until the service has so many connections to /events."""
    for _ in range(200):
        if served.metrics.value("mkd_event_streams") == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{served.metrics.value('mkd_event_streams')} streams")


def choose(page: Page, label: str, name: str) -> None:
    page.get_by_label(label).select_option(name)


def test_many_pages_of_one_browser_share_one_connection_and_none_waits_for_it(open_page: Open, served: Served) -> None:
    pages = [open_page("live") for _ in range(MANY)]
    part = served.judge(NG)
    for page in pages:
        see(page, ".verdict-part", part)
    wait_for_streams(served, 1)


def test_what_is_judged_while_a_list_is_read_is_not_lost(open_page: Open, served: Served) -> None:
    judged: list[str] = []

    def late(route: Route) -> None:
        answer = route.fetch()
        if not judged:
            judged.append(served.judge(NG))
            served.wait_for(judged[0])
            time.sleep(1)  # the event comes before the answer, which does not know of it
        route.fulfill(response=answer)

    page = open_page("live")
    see(page, "[data-testid=connection]", "Connected")
    page.wait_for_timeout(500)  # what is read once the connection stands has been read
    page.route("**/verdicts?*", late)
    choose(page, "Station", "press")
    page.wait_for_timeout(100)
    see(page, ".verdict-part", "P-")
    for _ in range(50):
        page.wait_for_timeout(50)
        if judged:
            break
    page.unroute_all(behavior="wait")
    see(page, ".verdict-part", judged[0])


def test_pages_of_one_browser_that_look_at_different_stations_are_told_of_their_own(
    open_page: Open, served: Served
) -> None:
    served.wait_for(served.judge(OK, station="lathe"))
    pages = {name: open_page("live") for name in ("press", "lathe")}
    for name, page in pages.items():
        see(page, "[data-testid=connection]", "Connected")
        choose(page, "Station", name)
    parts = [served.judge(NG, station=name) for name in ("press", "lathe", "press")]
    see(pages["press"], ".verdict-part", parts[2])
    see(pages["lathe"], ".verdict-part", parts[1])
    wait_for_streams(served, 1)
    pages["lathe"].reload()
    see(pages["lathe"], ".verdict-part", parts[1])  # each tab keeps its own


def test_what_was_missed_comes_after_the_network_was_cut(open_page: Open, served: Served, relay: Relay) -> None:
    page = open_page("live")
    page.goto(f"http://127.0.0.1:{relay.port}/ui/#/live")
    see(page, "[data-testid=connection]", "Connected")
    relay.cut()
    see(page, ".banner", "No connection")
    missed = [served.judge(brightness) for brightness in (OK, NG, OK)]
    relay.mend()
    see(page, ".verdict-part", missed[-1])
    see(page, "[data-testid=connection]", "Connected")


def test_a_stream_that_is_refused_asks_for_the_key_again(open_page: Open, served: Served, relay: Relay) -> None:
    page = open_page("teach", alone=True)
    page.goto(f"http://127.0.0.1:{relay.port}/ui/#/teach")
    see(page, "[data-testid=connection]", "Connected")
    page.context.clear_cookies()
    relay.cut()
    wait_for_streams(served, 0)
    relay.mend()
    see(page, ".login-over", "session is over")


def test_a_page_that_nobody_sees_lets_go_of_its_events_and_comes_back(open_page: Open, served: Served) -> None:
    page = open_page("live", alone=True, before=lambda page: page.clock.install())
    see(page, "[data-testid=connection]", "Connected")
    wait_for_streams(served, 1)
    hide = """isHidden => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.clock.fast_forward(11_000)
    wait_for_streams(served, 0)
    part = served.judge(NG)
    page.evaluate(hide, False)
    see(page, ".verdict-part", part)
