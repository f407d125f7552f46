"""Several server processes behind one port: answers, metrics that add up, a death that is mended, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import psutil
import pytest

from service.run import processes
from service.run.settings import Settings

CONFTEST = Path(__file__).with_name("conftest.py")

MODULE = """
import importlib.util, os, sys
from service.run import processes
from service.run.settings import Settings

def child(settings, port, shared):
    slot = len(list((shared).glob("life-*")))
    (shared / f"life-{os.getpid()}").touch()
    spec = importlib.util.spec_from_file_location("fakes", os.environ["FAKES"])
    fakes = importlib.util.module_from_spec(spec)
    sys.modules["fakes"] = fakes
    spec.loader.exec_module(fakes)
    from service.run.server import serve
    from service.run.components import Components
    engine = fakes.FakeEngine()
    # "all": no process ever starts; "later": those do not that come after the first two
    if os.environ["FAIL"] == "all" or (os.environ["FAIL"] == "later" and slot >= 2):
        def start():
            raise RuntimeError("no device")
        engine.start = start
    registry = fakes.FakeRegistry(fakes.FakeVersion())
    mark = shared / processes.STARTED.format(os.getpid())
    sys.exit(serve(settings, [port], lambda _: Components(engine, registry, engine.metrics, 1), on_started=mark.touch))

if __name__ == "__main__":
    import several
    sys.exit(processes.run(Settings(port=int(sys.argv[1]), processes=2, drain_s=5), several.child))
"""


class Family:
    """A parent with two children."""

    def __init__(self, folder: Path, fail: str = "no", port: int | None = None) -> None:
        (folder / "several.py").write_text(MODULE)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = port or free.getsockname()[1]
        path = os.pathsep.join([str(folder), *(entry for entry in sys.path if entry)])
        environment = {**os.environ, "PYTHONPATH": path, "FAKES": str(CONFTEST), "FAIL": fail}
        command = [sys.executable, str(folder / "several.py"), str(self.port)]
        self.parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}")

    def wait_until(self, ready: int) -> None:
        """Until that many processes say they are ready."""
        while True:
            assert self.parent.poll() is None
            try:
                if f"mkd_ready {float(ready)}" in self.get("/metrics").text:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)

    def wait_until_replaced(self, server: psutil.Process) -> None:
        """Until another process has come in its place: that may be there before anyone asks how many are ready."""
        while server in (now := servers_of(self)) or len(now) < 2:
            assert self.parent.poll() is None
            time.sleep(0.02)

    def events(self) -> list[dict[str, object]]:
        _, log = self.parent.communicate(timeout=60)
        return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    if made.parent.poll() is None:
        made.parent.send_signal(signal.SIGTERM)
        made.parent.communicate(timeout=60)


def test_processes_share_a_port_and_their_metrics_and_a_dead_one_is_replaced(family: Family) -> None:
    family.wait_until(ready=2)
    for _ in range(20):
        assert family.get("/version").status_code == 200
    assert 'mkd_requests_total{outcome="ok",route="/version"} 20.0' in family.get("/metrics").text
    servers = servers_of(family)
    assert len(servers) == 2
    servers[0].kill()
    family.wait_until_replaced(servers[0])
    family.wait_until(ready=2)
    family.parent.send_signal(signal.SIGTERM)
    names = [event["event"] for event in family.events()]
    assert family.parent.returncode == 0
    assert names.count("server process died") == 1
    assert names.count("stopped") == 2


def test_a_start_that_fails_ends_the_family(tmp_path: Path) -> None:
    family = Family(tmp_path, fail="all")
    events = family.events()
    assert family.parent.returncode == 3
    assert "server process died" in [event["event"] for event in events]


def servers_of(family: Family) -> list[psutil.Process]:
    """All are forked from one child of the parent."""
    (fork_server,) = forked_from(family)
    return fork_server.children()


def forked_from(family: Family) -> list[psutil.Process]:
    children = psutil.Process(family.parent.pid).children()
    return [child for child in children if "forkserver" in str(child.cmdline())]


def test_without_the_process_they_are_forked_from_all_are_replaced(family: Family) -> None:
    family.wait_until(ready=2)
    (fork_server,), servers = forked_from(family), servers_of(family)
    fork_server.kill()
    _, alive = psutil.wait_procs(servers, timeout=60)
    assert not alive
    family.wait_until(ready=2)
    assert not {server.pid for server in servers} & {server.pid for server in servers_of(family)}


def test_a_process_that_cannot_be_started_again_leaves_the_others_serving(tmp_path: Path) -> None:
    family = Family(tmp_path, fail="later")
    try:
        family.wait_until(ready=2)
        servers_of(family)[0].kill()
        family.wait_until(ready=1)
        assert family.parent.stderr is not None
        deaths = 0
        while deaths < 3:  # the one that was killed, and two starts in its place
            deaths += "server process died" in family.parent.stderr.readline()
        assert family.parent.poll() is None
        assert family.get("/version").status_code == 200
    finally:
        family.parent.send_signal(signal.SIGTERM)
        family.parent.communicate(timeout=60)
    assert family.parent.returncode == 0


def test_no_process_outlives_its_parent_and_a_new_start_takes_the_port(family: Family, tmp_path: Path) -> None:
    family.wait_until(ready=2)
    servers = servers_of(family)
    family.parent.kill()
    family.parent.wait()
    (tmp_path / "next").mkdir()
    after = Family(tmp_path / "next", port=family.port)
    try:
        after.wait_until(ready=2)
        _, alive = psutil.wait_procs(servers, timeout=60)
        assert not alive
        family.parent.communicate(timeout=60)  # the last of them had the pipe of the log
    finally:
        after.parent.send_signal(signal.SIGTERM)
        after.parent.communicate(timeout=60)


@pytest.mark.parametrize(("served", "most_s"), [(True, processes.SERVED_PAUSE_S), (False, processes.MOST_PAUSE_S)])
def test_a_process_that_served_is_started_again_soon_however_often_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bool, most_s: float
) -> None:
    monkeypatch.setattr(processes, "forget_gauges_of", lambda pid: None)
    if served:
        (tmp_path / processes.STARTED.format(7)).touch()
    with socket.socket() as port:
        parent = processes.Parent(Settings(), port, tmp_path, lambda *_: None)
    place = processes._Place()
    for _ in range(20):
        place.process = cast(BaseProcess, SimpleNamespace(pid=7, exitcode=-9))
        parent._note_the_death(place, now=0.0)
    assert place.pause_s == most_s
    assert 0.0 < place.restart_at <= most_s
