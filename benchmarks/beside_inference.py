"""What open pages and a training in the background cost inference, in one interleaved run.

A closed loop of single images takes turns: alone, with pages that listen to /events, and with a training that was
started over HTTP and runs all the while. Pages read and throw away what they are told, so the client costs next to
nothing. On a noisy machine the rate of a turn moves by more than pages cost; the service's processor time an image
does not, so that is what pages are judged by.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import httpx

from benchmarks.harness.connection import HOST, post_images
from benchmarks.harness.inputs import pictures, served_folder
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess
from benchmarks.http_closed_loop import check

PAGES_COST, TRAINING_SHARE = 1.02, 0.9
IMAGES = 64
TURNS = ("alone", "pages", "training")
PRODUCT = "new"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bars are met."""
    options = options_of(__doc__)
    options.add_argument("--pages", type=int, default=10, help="that are open [10]")
    options.add_argument("--clients", type=int, default=16, help="of the closed loop, one image each [16]")
    options.add_argument("--rounds", type=int, default=5, help="of the three turns [5]")
    options.add_argument("--seconds", type=float, default=12.0, help="of each turn [12]")
    options.add_argument("--method", default="mkd", help="of the training; one that takes longer than a turn [mkd]")
    given = options.parse_args(arguments)
    where = machine()
    images = pictures(IMAGES)
    requests = [post_images("/score", [image]) for image in images]
    rates: dict[str, list[float]] = {name: [] for name in TURNS}
    cpu_ms: dict[str, list[float]] = {name: [] for name in TURNS}
    with served_folder(given.artifact) as (folder, _), ServiceProcess(folder, "--max-wait-s", "0") as service:
        beside: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "alone": contextlib.nullcontext,
            "pages": lambda: pages_open(service.port, given.pages),
            "training": lambda: training(service.port, images, given.method),
        }
        for number in range(given.rounds):
            for name in TURNS if number % 2 == 0 else reversed(TURNS):
                with beside[name]():
                    busy = service.cpu_seconds()
                    tally = run(closed_loop(service.port, requests, clients=given.clients, seconds=given.seconds))
                    check(tally)
                    cpu_ms[name].append(1000 * (service.cpu_seconds() - busy) / len(tally.answers))
                    rates[name].append(tally.images_per_second(given.seconds / 6, given.seconds))
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}/s" for name, found in rates.items()))
    cost = [one / other for one, other in zip(cpu_ms["pages"], cpu_ms["alone"], strict=True)]
    share = {
        name: [one / other for one, other in zip(rates[name], rates["alone"], strict=True)]
        for name in ("pages", "training")
    }
    results: dict[str, object] = {f"images_per_s_{name}": spread(found) for name, found in rates.items()}
    results |= {f"service_cpu_ms_an_image_{name}": spread(found) for name, found in cpu_ms.items()}
    results |= {f"rate_with_{name}": spread(found) for name, found in share.items()}
    bars = [
        Bar(f"processor time an image with {given.pages} pages", statistics.median(cost), "<=", PAGES_COST),
        Bar("rate with a training in the background", statistics.median(share["training"]), ">=", TRAINING_SHARE),
    ]
    return report("beside_inference", given, where, results, bars)


@contextlib.contextmanager
def pages_open(port: int, count: int) -> Iterator[None]:
    """So many connections that listen to /events for the time of the block."""
    opened = [socket.create_connection((HOST, port)) for _ in range(count)]
    threads = [threading.Thread(target=drained, args=(one,), daemon=True) for one in opened]
    for one, thread in zip(opened, threads, strict=True):
        one.sendall(f"GET /events HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert b"200" in one.recv(1024), "the service does not let a page listen"
        thread.start()
    try:
        yield
    finally:
        for one in opened:
            one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def drained(connection: socket.socket) -> None:
    """Reads until the connection ends."""
    while connection.recv(1 << 16):
        pass


@contextlib.contextmanager
def training(port: int, images: Sequence[bytes], method: str) -> Iterator[None]:
    """A training that has begun and is stopped at the block's end; raises where it ended before."""
    with httpx.Client(base_url=f"http://{HOST}:{port}/products/{PRODUCT}", timeout=60, trust_env=False) as client:
        files = [("image", (f"{number}.png", data)) for number, data in enumerate(images)]
        started = client.post("/trainings", params={"method": method}, files=files)
        started.raise_for_status()
        path = f"/trainings/{started.json()['id']}"
        while client.get(path).json()["progress"] is None:
            time.sleep(0.2)
        yield
        state = client.get(path).json()["state"]
        client.delete(path).raise_for_status()
        if state != "running":
            raise RuntimeError(f"the training was {state} before the turn was over")


if __name__ == "__main__":
    sys.exit(main())
