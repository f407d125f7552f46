"""The gateway and the fake judge as processes of their own, on ports of the loopback."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """Until `what` gives something true; its connection errors count as not yet."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            found = what()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {why}")


class Process:
    """A Python module as a process; its output goes to a file."""

    def __init__(self, log: Path, *arguments: str, prefix: Sequence[str] = ()) -> None:
        self._log = log
        self._command = [*prefix, sys.executable, "-m", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """As kill -9 does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(30)

    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


class FakeJudge(Process):
    """Ready once entered."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(folder / "judge.log", "tests.e2e.gateway.fake_judge", str(self.port))

    def start(self) -> None:
        super().start()
        wait_for(lambda: get(self.port, "/readyz"), "the fake judge")


class GatewayProcess(Process):
    """`mkd-line` with the stations of `stations`, text in TOML; ready once entered. `prefix` runs it."""

    def __init__(
        self, folder: Path, service_port: int, stations: str, *, wait: bool = True, prefix: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self._wait = wait
        file = folder / "line.toml"
        file.write_text(
            f'[gateway]\nport = {self.port}\nstate_dir = "{folder}/state"\nheartbeat_ms = 100\n\n'
            f'[service]\nurl = "http://127.0.0.1:{service_port}"\ncheck_ms = 300\n\n{stations}',
            encoding="utf-8",
        )
        super().__init__(folder / "gateway.log", "service.gateway", "--config", str(file), prefix=prefix)

    def start(self) -> None:
        super().start()
        if self._wait:
            wait_for(lambda: get(self.port, "/healthz"), f"the gateway: {self.text()[-2000:]}")

    def station(self, name: str = "press") -> dict[str, Any]:
        stations = json.loads(get(self.port, "/stations"))["stations"]
        return next(one for one in stations if one["name"] == name)

    def wait_ready(self, name: str = "press") -> None:
        wait_for(lambda: self.station(name)["ready"], f"station {name} ready; {self.text()[-1500:]}")

    def metric(self, sample: str) -> float:
        lines = get(self.port, "/metrics").decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{sample} ")), 0.0)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]


def get(port: int, path: str) -> bytes:
    with DIRECT.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        body: bytes = answer.read()
    return body
