"""Memory and stalls by bodies of every form, 1 to 64 MB, also such as no client should send.

Each form meets a service of its own. While a body is on its way, a second client asks /healthz without a pause: its
longest wait is the longest time for which the event loop served nobody, and so is what a busy machine adds to it; the
column `idle` has the same without a body. Peak memory is the process's own record (VmHWM), reset before each body.
"""

from __future__ import annotations

import base64
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.harness.connection import HOST, post
from benchmarks.harness.inputs import served_folder
from benchmarks.harness.report import Bar, machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess

T = TypeVar("T")
MB = 1_000_000
MULTIPLE = 3.0  # docs/operate.md
BESIDES_BYTES = 8 << 20  # what a request takes however small it is: buffers, a decoder's first call
STALL_MS = 250.0
IDLE_S = 2.0
PART = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
BASE64 = base64.b64encode(bytes(range(256)) * 3)
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=frontier"


@dataclass(frozen=True)
class Form:
    """A kind of body: its head, what fills it, its tail."""

    content_type: str
    head: bytes
    filling: bytes
    tail: bytes

    def body(self, size: int) -> bytes:
        """About `size` bytes."""
        return self.head + self.filling * (size // len(self.filling)) + self.tail


FORMS = {
    "raw": Form("image/png", b"", BASE64, b""),
    "multipart, one image": Form(MULTIPART, PART, BASE64, b"\r\n--frontier--\r\n"),
    "multipart, 60 images": Form(MULTIPART, b"", b"", b"--frontier--\r\n"),
    "multipart, near boundaries": Form(MULTIPART, PART, b"\r\n--frontie", b"\r\n--frontier--\r\n"),
    "multipart, empty parts": Form(MULTIPART, b"", PART + b"\r\n", b"--frontier--\r\n"),
    "json, one image": Form(JSON, b'{"images":[{"data":"', BASE64, b'"}]}'),
    "json, 60 images": Form(JSON, b"", b"", b""),
    "json, every letter escaped": Form(JSON, b'{"images":[{"data":"', b"\\u0041\\u002B", b'"}]}'),
    "json, no base64": Form(JSON, b'{"images":[{"data":"', b"\\\\\\n", b'"}]}'),
    "json, empty objects": Form(JSON, b'{"images":[', b"{},", b"{}]}"),
    "json, nested": Form(JSON, b'{"images":', b"[", b"]"),
    "json, blanks": Form(JSON, b'{"images":[', b" ", b"]}"),
}


def body_of(name: str, size: int) -> bytes:
    """A body of this form and about this size."""
    each = size // 60 // len(BASE64)
    if name == "multipart, 60 images":
        return (PART + BASE64 * each + b"\r\n") * 60 + FORMS[name].tail
    if name == "json, 60 images":
        return b'{"images":[' + b",".join([b'{"data":"' + BASE64 * each + b'"}'] * 60) + b"]}"
    return FORMS[name].body(size)


class HealthWatch:
    """Asks /healthz again and again in a thread; `longest_ms` is the longest wait for an answer."""

    def __init__(self, port: int) -> None:
        self.longest_ms = 0.0
        self._port = port
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> HealthWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        with socket.create_connection((HOST, self._port), timeout=120) as connection:
            while not self._end.is_set():
                asked = time.perf_counter()
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                if not connection.recv(65536):
                    raise ConnectionError("the service ended the connection of the watch")
                self.longest_ms = max(self.longest_ms, (time.perf_counter() - asked) * 1000)
                time.sleep(0.002)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bars are met."""
    options = options_of(__doc__)
    options.add_argument("--megabytes", type=int, nargs="+", default=[1, 8, 64], help="[1 8 64]")
    options.add_argument("--rounds", type=int, default=3, help="of each body; the median of the stalls counts [3]")
    given = options.parse_args(arguments)
    where = machine()
    rows: dict[str, object] = {}
    stalls, excess = [], []
    with served_folder(given.artifact) as (folder, _):
        for name, form in FORMS.items():
            with ServiceProcess(folder) as service:
                idle_ms, _ = during(service, partial(time.sleep, IDLE_S))
                for size in given.megabytes:
                    row = measure(service, post("/score", body_of(name, size * MB), form.content_type), given.rounds)
                    rows[f"{name}, {size} MB"] = {**row, "idle_ms": round(idle_ms)}
                    print(f"{name + ',':<32} {size:3} MB: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
                    stalls.append(float(str(row["stall_ms"])))
                    excess.append(max(0.0, float(str(row["peak_mb"])) * MB - BESIDES_BYTES) / (size * MB))
    bars = [
        Bar("longest stall of /healthz, median of the rounds", max(stalls), "<=", STALL_MS, " ms"),
        Bar("peak memory beyond 8 MiB, times the body's bytes", max(excess), "<=", MULTIPLE),
    ]
    return report("bodies", given, where, rows, bars)


def measure(service: ServiceProcess, request: bytes, rounds: int) -> dict[str, object]:
    """Status, peak memory over that before (the first body of a form grows what the allocator keeps), stalls, time."""
    peaks, stalls, seconds, status = [], [], [], 0
    for _ in range(rounds):
        before = service.resident_bytes()
        Path(f"/proc/{service.pid}/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
        begun = time.perf_counter()
        stall_ms, status = during(service, partial(status_of, service.port, request))
        stalls.append(stall_ms)
        seconds.append(time.perf_counter() - begun)
        peaks.append(highest_bytes(service.pid) - before)
    return {
        "status": status,
        "peak_mb": round(max(peaks) / MB, 1),
        "stall_ms": round(median(stalls)),
        "worst_ms": round(max(stalls)),
        "seconds": round(median(seconds), 2),
    }


def during(service: ServiceProcess, work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of the longest wait for /healthz during `work`, and its result."""
    with HealthWatch(service.port) as watch:
        done = work()
    return watch.longest_ms, done


def status_of(port: int, request: bytes) -> int:
    """Send all, then read the answer, as most clients do."""
    with socket.create_connection((HOST, port), timeout=120) as connection:
        connection.sendall(request)
        return int(connection.recv(65536).split(b" ", 2)[1])


def highest_bytes(pid: int) -> int:
    """The most resident memory of a process since its record was reset."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
