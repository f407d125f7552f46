"""A folder of artifacts in; a running service on a free loopback port out, its verdicts on pictures, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 45.0
PER_REQUEST = 16
KEPT = ("MKD_CACHE_DIR", "MKD_NO_DOWNLOAD")  # the demo asks for nothing else that the environment may set

Reply = dict[str, Any]


class ServiceFailed(Exception):
    """The service did not start, answer or stop as it should; the text says what to read."""


class RunningService:
    """`python -m service` as a process of its own, from ready to stopped: `with RunningService(...) as service`.

    `more` are further flags; without any, nothing of what is judged is kept.
    """

    def __init__(self, artifacts: Path, log: Path, more: Sequence[str] = ("--feedback", "off")) -> None:
        self._artifacts, self._log, self._more = artifacts, log, more
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "service", "--artifacts", str(self._artifacts)]
        command += ["--host", "127.0.0.1", "--port", str(self._port), *self._more]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_environment())
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self.exit_code = self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServiceFailed(f"the service did not stop within {STOPPED_WITHIN_S:g} s; see {self._log}") from error
        if self.exit_code != 0 and error is None:
            raise ServiceFailed(f"the service stopped with exit code {self.exit_code}; see {self._log}")

    def localize(self, product: str, files: Sequence[Path]) -> list[Reply]:
        """The replies of POST /localize with overlays, for PER_REQUEST pictures each, in order."""
        replies = []
        for start in range(0, len(files), PER_REQUEST):
            parts = [("image", (file.name, file.read_bytes(), "image/png")) for file in files[start:][:PER_REQUEST]]
            answer = httpx.post(
                f"{self.url}/localize",
                params={"product": product, "overlay": "true"},
                headers={"X-Deadline-Ms": "120000"},
                files=parts,
                timeout=130,
                trust_env=False,  # a proxy has no business with the loopback
            )
            if answer.status_code != httpx.codes.OK:
                raise ServiceFailed(f"POST /localize: {answer.status_code} {answer.text[:500]}")
            replies.append(answer.json())
        return replies

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        patience = time.monotonic() + READY_WITHIN_S
        reason = "no answer on the port"
        while time.monotonic() < patience:
            if (code := process.poll()) is not None:
                raise ServiceFailed(f"the service ended with exit code {code} at its start; see {self._log}")
            try:
                answer = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code == httpx.codes.OK:
                return
            reason = answer.text
            time.sleep(0.2)
        raise ServiceFailed(f"the service was not ready within {READY_WITHIN_S:g} s ({reason}); see {self._log}")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MKD_") or name in KEPT}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
