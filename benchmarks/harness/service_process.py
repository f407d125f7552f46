"""A folder of artifacts in; the real service on a free loopback port out, from ready to stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from models.variables import PASSED_ON

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ("service",)
READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 60.0
SLOWER_UNDER = 10.0  # times, under another program, as valgrind
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business with the loopback


class ServiceFailed(Exception):
    """The service did not start or stop as it should; the text ends with the last lines of its log."""


class ServiceProcess:
    """`python -m service --artifacts FOLDER *flags`; `module` names another program with the same flags, `root` another
    checkout to run it from, and `under` a program that runs Python, as valgrind.

    The log goes to a file, as it would in earnest; `events()` reads it, also after the stop.
    """

    def __init__(
        self,
        artifacts: Path,
        *flags: str,
        module: Sequence[str] = SERVICE,
        root: Path = ROOT,
        under: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.exit_code: int | None = None
        self.ready_after_s = 0.0
        self._log: Path | None = None
        self._log_text = ""
        self._command = [*under, sys.executable, "-m", *module, "--artifacts", str(artifacts.resolve())]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port), *flags]
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._slower = SLOWER_UNDER if under else 1.0

    def __enter__(self) -> Self:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MKD_") or name in PASSED_ON
        }
        started = time.monotonic()
        file, name = tempfile.mkstemp(prefix="mkd-service-", suffix=".log")
        self._log = Path(name)
        with open(file, "wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._kill()
            self._put_log_away()
            raise
        self.ready_after_s = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop()
        self._put_log_away()
        if code != 0 and error is None:
            raise ServiceFailed(f"the service ended with exit code {code}\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def resident_bytes(self) -> int:
        """Resident memory of the process."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu_seconds(self) -> float:
        """Time on the CPU so far, all threads."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def get(self, path: str) -> bytes:
        """The body of GET `path`; raises urllib.error.HTTPError for a refusal."""
        with DIRECT.open(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def post(self, path: str, body: object = None) -> Any:
        """The JSON answer to POST `path` with a JSON body; raises urllib.error.HTTPError for a refusal."""
        data = b"" if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with DIRECT.open(request, timeout=120) as answer:
            return json.load(answer)

    def metric(self, sample: str) -> float:
        """The value of one line of /metrics, with its labels as they are printed; 0 where there is none yet."""
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def is_ready(self) -> bool:
        """Whether /readyz says 200 now."""
        try:
            self.get("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM where it still runs; its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it has ended by itself; raises ServiceFailed where it does not."""
        assert self._process is not None
        limit_s = STOPPED_WITHIN_S * self._slower
        try:
            self.exit_code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._kill()
            raise ServiceFailed(f"not stopped within {limit_s:g} s\n{self.log_tail()}") from None
        return self.exit_code

    def events(self) -> list[dict[str, Any]]:
        """The log so far, one entry a line."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def log(self) -> str:
        """All that the process has written."""
        return self._log_text if self._log is None else self._log.read_text(encoding="utf-8")

    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log().splitlines()[-20:])

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        patience = time.monotonic() + READY_WITHIN_S * self._slower
        while not self.is_ready():
            if self._process.poll() is not None:
                raise ServiceFailed(f"exit code {self._process.returncode} at the start\n{self.log_tail()}")
            if time.monotonic() > patience:
                raise ServiceFailed(f"not ready within {READY_WITHIN_S:g} s\n{self.log_tail()}")
            time.sleep(0.1)

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _put_log_away(self) -> None:
        if self._log is not None:
            self._log_text = self.log()
            self._log.unlink()
            self._log = None


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
