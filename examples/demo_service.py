"""A folder of artifacts in; a running service on a free loopback port out, its verdicts on pictures, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from models.variables import PASSED_ON

LOOK_EVERY_S = 0.2
TELL_EVERY_S = 15.0
PER_REQUEST = 16
LONGEST_DEADLINE_MS = "3600000"  # that the service takes: this caller waits as long as the service lives

BUSY = (429, 503)
Reply = dict[str, Any]
Parts = Sequence[tuple[str, tuple[str, bytes, str]]]


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
        self.exit_code = wait_for(self._process.poll, "the service to stop")
        if self.exit_code != 0 and error is None:
            raise ServiceFailed(f"the service stopped with exit code {self.exit_code}; see {self._log}")

    def localize(self, product: str, files: Sequence[Path]) -> list[Reply]:
        """The replies of POST /localize with overlays, for PER_REQUEST pictures each, in order."""
        replies = []
        for start in range(0, len(files), PER_REQUEST):
            parts = [("image", (file.name, file.read_bytes(), "image/png")) for file in files[start:][:PER_REQUEST]]
            answer = wait_for(partial(self._answered, product, parts), "the service to have time")
            if answer.status_code != httpx.codes.OK:
                raise ServiceFailed(f"POST /localize: {answer.status_code} {answer.text[:500]}")
            replies.append(answer.json())
        return replies

    def _answered(self, product: str, parts: Parts) -> httpx.Response | None:
        """The answer; None, after the pause that it asks for, where the service has too much to do."""
        try:
            answer = httpx.post(
                f"{self.url}/localize",
                params={"product": product, "overlay": "true"},
                headers={"X-Deadline-Ms": LONGEST_DEADLINE_MS},
                files=parts,
                timeout=None,  # it ends with the service
                trust_env=False,  # a proxy has no business with the loopback
            )
        except httpx.TransportError as error:
            raise ServiceFailed(f"the service has gone while it was asked ({error!r}); see {self._log}") from error
        if answer.status_code not in BUSY:
            return answer
        time.sleep(float(answer.headers.get("Retry-After", 1)))
        return None

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """As long as the process lives: a slow machine is no failure."""

        def ready() -> bool | None:
            if (code := process.poll()) is not None:
                raise ServiceFailed(f"the service ended with exit code {code} at its start; see {self._log}")
            try:
                answer = httpx.get(f"{self.url}/readyz", timeout=None, trust_env=False)
            except httpx.TransportError:
                return None
            return True if answer.status_code == httpx.codes.OK else None

        wait_for(ready, f"the service to be ready; {self._log} says what it does")


Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], what: str, pause: Callable[[float], None] = time.sleep) -> Found:
    """What `look` finds, however long it takes; says now and then what is waited for."""
    waited = 0
    while (found := look()) is None:
        pause(LOOK_EVERY_S)
        waited += 1
        if waited % round(TELL_EVERY_S / LOOK_EVERY_S) == 0:
            print(f"      still waiting for {what}", flush=True)
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MKD_") or name in PASSED_ON}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
