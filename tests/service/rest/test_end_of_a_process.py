"""How a process of the service ends: what is in flight is answered, all of the log is JSON, the exit code is 0."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.service.rest.conftest import Picture

CONFTEST = Path(__file__).with_name("conftest.py")

# A process of its own around the fakes: the engine takes its time, so that a signal can come in between.
PROGRAM = """
import asyncio, contextlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("fakes", sys.argv[1])
fakes = importlib.util.module_from_spec(spec)
sys.modules["fakes"] = fakes
spec.loader.exec_module(fakes)
from service.run.server import serve
from service.run.settings import Settings
from service.run.components import Components

from service.errors import ShuttingDown

engine = fakes.FakeEngine()
closing = asyncio.Event()

async def slowly(row):
    print("asked", flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(closing.wait(), float(sys.argv[3]))
        return ShuttingDown("no time left")
    return await fakes.FakeEngine.brightness(row)

async def drain(limit_s):
    engine.admission.close()
    closing.set()
    return fakes.DrainReport(0.0, 0, 0)

engine.answer = slowly
engine.drain = drain
settings = Settings(port=int(sys.argv[2]), drain_s=float(sys.argv[4]), log_level="info")
registry = fakes.FakeRegistry(fakes.FakeVersion())
sys.exit(serve(settings, None, lambda _: Components(engine, registry, engine.metrics, 1)))
"""


class Process:
    """The service as a process of its own."""

    def __init__(self, seconds: float, drain_s: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [sys.executable, "-c", PROGRAM, str(CONFTEST), str(self.port), str(seconds), str(drain_s)]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz")
                return
            except httpx.ConnectError:
                assert self.process.poll() is None, self.process.communicate()[1]
                time.sleep(0.05)

    def wait_until_asked(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "asked\n"


def stop_while_it_works(service: Process, image: bytes) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """Send SIGTERM while a request is in flight; gives its answer and the log."""
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"Content-Type": "image/png"}
        url = f"http://127.0.0.1:{service.port}/score"
        answers.append(httpx.post(url, content=image, headers=headers, timeout=60))

    client = threading.Thread(target=ask)
    client.start()
    service.wait_until_asked()
    service.process.send_signal(signal.SIGTERM)
    client.join()
    _, log = service.process.communicate(timeout=60)
    return answers[0], [json.loads(line) for line in log.splitlines()]


def test_sigterm_lets_requests_in_flight_finish_and_exits_with_0(picture: Picture) -> None:
    service = Process(seconds=1.0, drain_s=30)
    answer, log = stop_while_it_works(service, picture(0.9))
    assert answer.json()["results"][0]["decision"] == "NG"
    assert service.process.returncode == 0, log
    assert log[-1]["event"] == "stopped"
    assert "drained" in [line["event"] for line in log]


def test_what_is_left_after_the_drain_is_answered_and_the_exit_code_is_still_0(picture: Picture) -> None:
    service = Process(seconds=3600, drain_s=0.3)
    answer, log = stop_while_it_works(service, picture(0.9))
    assert answer.status_code == 503
    assert answer.json()["code"] == "shutting_down"
    assert service.process.returncode == 0, log


def test_every_line_of_the_log_is_json(picture: Picture) -> None:
    service = Process(seconds=0, drain_s=5)
    httpx.get(f"http://127.0.0.1:{service.port}/nowhere")
    service.process.send_signal(signal.SIGINT)
    _, log = service.process.communicate(timeout=60)
    assert service.process.returncode == 0
    requests = [line for line in map(json.loads, log.splitlines()) if line["event"] == "request"]
    assert [line["path"] for line in requests] == ["/nowhere"]


SLOW_START = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("fakes", sys.argv[1])
fakes = importlib.util.module_from_spec(spec)
sys.modules["fakes"] = fakes
spec.loader.exec_module(fakes)
from service.run.server import serve
from service.run.settings import Settings
from service.run.components import Components

engine = fakes.FakeEngine()

def start():
    print("starting", flush=True)
    time.sleep(3600)

engine.start = start
sys.exit(serve(Settings(port=0), None, lambda _: Components(engine, fakes.FakeRegistry(), engine.metrics, 1)))
"""


def test_sigterm_during_a_start_that_takes_long_ends_the_process() -> None:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_START, str(CONFTEST)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(log.splitlines()[-1])["event"] == "stopped during the start"
