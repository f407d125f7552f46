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
from pathlib import Path

import httpx
import psutil
import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

MODULE = """
import importlib.util, os, sys
from service.run import processes
from service.run.settings import Settings

def child(settings, shared):
    spec = importlib.util.spec_from_file_location("fakes", os.environ["FAKES"])
    fakes = importlib.util.module_from_spec(spec)
    sys.modules["fakes"] = fakes
    spec.loader.exec_module(fakes)
    from service.run.server import serve
    from service.run.components import Components
    engine = fakes.FakeEngine()
    if os.environ["FAIL"] == "yes":
        def start():
            raise RuntimeError("no device")
        engine.start = start
    registry = fakes.FakeRegistry(fakes.FakeVersion())
    sys.exit(serve(settings, [shared], lambda _: Components(engine, registry, engine.metrics, 1)))

if __name__ == "__main__":
    import several
    sys.exit(processes.run(Settings(port=int(sys.argv[1]), processes=2, drain_s=5), several.child))
"""


class Family:
    """A parent with two children."""

    def __init__(self, folder: Path, fail: bool) -> None:
        (folder / "several.py").write_text(MODULE)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        path = os.pathsep.join([str(folder), *(entry for entry in sys.path if entry)])
        environment = {**os.environ, "PYTHONPATH": path, "FAKES": str(CONFTEST), "FAIL": "yes" if fail else "no"}
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

    def events(self) -> list[dict[str, object]]:
        _, log = self.parent.communicate(timeout=60)
        return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path, fail=False)
    yield made
    if made.parent.poll() is None:
        made.parent.send_signal(signal.SIGTERM)
        made.parent.communicate(timeout=60)


def test_processes_share_a_port_and_their_metrics_and_a_dead_one_is_replaced(family: Family) -> None:
    family.wait_until(ready=2)
    for _ in range(20):
        assert family.get("/version").status_code == 200
    assert 'mkd_requests_total{outcome="ok",route="/version"} 20.0' in family.get("/metrics").text
    servers = [child for child in psutil.Process(family.parent.pid).children() if "spawn_main" in str(child.cmdline())]
    assert len(servers) == 2
    servers[0].kill()
    family.wait_until(ready=1)
    family.wait_until(ready=2)
    family.parent.send_signal(signal.SIGTERM)
    names = [event["event"] for event in family.events()]
    assert family.parent.returncode == 0
    assert names.count("server process died") == 1
    assert names.count("stopped") == 2


def test_a_start_that_fails_ends_the_family(tmp_path: Path) -> None:
    family = Family(tmp_path, fail=True)
    events = family.events()
    assert family.parent.returncode == 3
    assert "server process died" in [event["event"] for event in events]
