"""The blocking client over a real connection: threads, deadlines against strange servers, its end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mkdserve.client import Client, DeadlineExceeded, Retries, ServiceUnreachable
from service.auth import new_key
from tests.service.rest.conftest import Picture, Serve

ONCE = Retries(attempts=1)


def test_a_client_with_a_key_scores_over_http_from_many_threads(serve: Serve, picture: Picture) -> None:
    secret, key = new_key("line", ["infer"])
    port = serve(api_keys=key.line())
    shares = [0.1, 0.95] * 8
    with Client(f"http://127.0.0.1:{port}", key=secret) as client, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda share: client.score(picture(share), product="screw").all_ok, shares))
    assert found == [share < 0.5 for share in shares]


def test_a_prefix_of_a_proxy_stays_in_every_path(serve: Serve, picture: Picture) -> None:
    port = serve(root_path="/line-7")
    with Client(f"http://127.0.0.1:{port}/line-7") as client:
        assert client.score(picture(0.2)).all_ok
        assert client.products()[0].name == "screw"


def test_no_service_at_all_is_told_as_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", retries=ONCE) as client, pytest.raises(ServiceUnreachable) as it:
        client.readiness()
    assert not it.value.sent


Strange = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def strange() -> Iterator[Strange]:
    """A server that does this with each connection, in a thread."""
    stop, threads = threading.Event(), list[threading.Thread]()

    def start(talk: Callable[[socket.socket], None]) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(0.05)

        def serve_all() -> None:
            with listening:
                while not stop.is_set():
                    try:
                        connection, _ = listening.accept()
                    except TimeoutError:
                        continue
                    with connection:
                        connection.settimeout(0.05)
                        try:
                            while not stop.is_set():
                                talk(connection)
                        except OSError:
                            pass

        threads.append(threading.Thread(target=serve_all))
        threads[-1].start()
        return int(listening.getsockname()[1])

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)


def silent(connection: socket.socket) -> None:
    try:
        if not connection.recv(65536):
            raise OSError("gone")
    except TimeoutError:
        pass


def drips(connection: socket.socket) -> None:
    """A header without end, of which a little comes before any pause is long."""
    silent(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Patience: " if not hasattr(drips, "begun") else b"a")
    drips.begun = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("talk", [silent, drips])
def test_the_deadline_holds_against_a_server_that_never_ends(
    strange: Strange, talk: Callable[[socket.socket], None]
) -> None:
    port = strange(talk)
    with Client(f"http://127.0.0.1:{port}", retries=ONCE) as client, pytest.raises(DeadlineExceeded):
        client.score(b"picture", deadline_s=0.4)


def test_an_answer_that_is_cut_off_is_no_answer(strange: Strange) -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{")
        raise OSError("cut")

    port = strange(cut)
    with Client(f"http://127.0.0.1:{port}", retries=ONCE) as client, pytest.raises(ServiceUnreachable) as it:
        client.score(b"picture")
    assert it.value.sent


def test_a_closed_client_says_so_and_may_be_closed_again(serve: Serve) -> None:
    client = Client(f"http://127.0.0.1:{serve()}")
    assert client.readiness().ready
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.readiness()


def test_a_client_that_nobody_holds_ends_its_thread(serve: Serve) -> None:
    client = Client(f"http://127.0.0.1:{serve()}")
    before = [thread for thread in threading.enumerate() if thread.name == "mkdserve-client"]
    del client
    assert before
    assert not [thread for thread in threading.enumerate() if thread in before]


def test_a_forked_process_is_told_to_make_its_own(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(f"http://127.0.0.1:{serve()}") as client:
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: -1)
            with pytest.raises(RuntimeError, match="fork"):
                client.readiness()
        assert client.readiness().ready
