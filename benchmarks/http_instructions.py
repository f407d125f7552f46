"""Instructions that HTTP takes around a verdict and for a refusal, counted by valgrind: other work moves them little.

The real service runs under callgrind around a device that answers at once. Counted is what its threads run outside of
the kernel, the event loop apart from the others (decoding, drift watch, feedback store, the worker), less what the idle
service takes in the same time. The client is not counted.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess
from benchmarks.open_inference import as_bytes, as_pixels

SERVICE = ("benchmarks.harness.idle_device_service",)
PLACES = 16  # images in flight at most, so that a few unfinished requests make the service refuse
# A request that never ends keeps its place, and only the number of places refuses.
SLOW_BODIES = ("--body-pause-s", "3600", "--body-timeout-s", "3600", "--body-min-rate", "0")
NO_DEADLINES = ("--max-wait-s", "0", "--deadline-ms", "0")
BATCH = 8
IDLE_S = 3.0
REFUSED_CLIENTS = 48
TOTAL = re.compile(r"^(?:totals|summary): (\d+)$", re.MULTILINE)
THREAD = re.compile(r"^thread: (\d+)$", re.MULTILINE)


class Count(NamedTuple):
    """Instructions of the event loop's thread and of all others."""

    loop: float
    others: float

    def less(self, other: Count, times: float) -> Count:
        """Without `times` the other."""
        return Count(self.loop - times * other.loop, self.others - times * other.others)

    def thousands_each(self, count: int) -> dict[str, float]:
        """For each of `count`, as it is shown."""
        return {"event_loop": round(self.loop / count / 1e3, 1), "other_threads": round(self.others / count / 1e3, 1)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Count; there is no bar."""
    options = options_of(__doc__)
    options.add_argument("--images", type=int, default=64, help="of each kind of request [64]")
    options.add_argument("--refusals", type=int, default=240, help="[240]")
    given = options.parse_args(arguments)
    where = machine()
    if shutil.which("valgrind") is None:
        return report("http_instructions", given, where, {"missing": "valgrind is not installed"}, ())
    return report("http_instructions", given, where, measure(given), ())


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Thousands of instructions for each image and each refusal."""
    files = pictures(2 * BATCH)
    groups = [files[:BATCH], files[BATCH:]]
    flags = ("--max-images", str(BATCH), "--max-waiting-images", str(PLACES), *SLOW_BODIES, *NO_DEADLINES)
    results: dict[str, object] = {"picture": f"PNG, RGB, {SIDE} px", "unit": "thousands of instructions"}
    with served_folder(given.artifact) as (folder, artifact), TemporaryDirectory() as dumps:
        name = artifact.manifest.product
        kinds = {
            "multipart, 1 image": (1, [post_images("/score", [file]) for file in files]),
            f"multipart, {BATCH} images": (BATCH, [post_images("/score", group) for group in groups]),
            f"open inference, BYTES, {BATCH} images": (BATCH, [as_bytes(name, group) for group in groups]),
            f"open inference, UINT8, {BATCH} images": (BATCH, [as_pixels(name, group) for group in groups]),
        }
        out = Path(dumps) / "count"
        under = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes")
        with ServiceProcess(folder, *flags, module=SERVICE, under=(*under, f"--callgrind-out-file={out}")) as service:
            counter = Counter(service.pid, out)
            for images, requests in kinds.values():
                judged(service.port, requests, 2 * BATCH // images)  # the first ones load what later ones have
            idle_s, idle = counter.count(partial(time.sleep, IDLE_S))
            for kind, (images, requests) in kinds.items():
                seconds, found = counter.count(partial(judged, service.port, requests, given.images // images))
                results[f"{kind}: an image"] = found.less(idle, seconds / idle_s).thousands_each(given.images)
            refusals = [post_images("/score", [file], {"X-Deadline-Ms": "2000"}) for file in files]
            with ExitStack() as stack:
                for _ in range(PLACES):
                    stack.enter_context(unfinished(service.port, kinds["multipart, 1 image"][1][0]))
                refused(service.port, refusals, given.refusals // 4)
                seconds, found = counter.count(partial(refused, service.port, refusals, given.refusals))
            results["a refusal"] = found.less(idle, seconds / idle_s).thousands_each(given.refusals)
    return results


class Counter:
    """Counts the instructions of a process that runs under callgrind, by its control program."""

    def __init__(self, pid: int, out: Path) -> None:
        self._pid, self._out = pid, out
        self._tell("-i", "on")

    def count(self, work: Callable[[], object]) -> tuple[float, Count]:
        """Seconds and instructions while `work` ran."""
        self._tell("-z")
        before, started = set(self._dumps()), time.monotonic()
        work()
        seconds = time.monotonic() - started
        self._tell("-d")
        loop = others = 0
        for dump in set(self._dumps()) - before:
            text = dump.read_text()
            thread, total = THREAD.search(text), TOTAL.search(text)
            if thread is None or total is None:
                continue
            if thread[1] == "1":
                loop += int(total[1])
            else:
                others += int(total[1])
        return seconds, Count(loop, others)

    def _dumps(self) -> list[Path]:
        return list(self._out.parent.glob(f"{self._out.name}*"))

    def _tell(self, *words: str) -> None:
        done = subprocess.run(
            ["callgrind_control", *words, str(self._pid)], capture_output=True, text=True, check=False
        )
        if done.returncode or "Error" in done.stdout + done.stderr:
            raise RuntimeError(f"callgrind_control {' '.join(words)}: {done.stdout}{done.stderr}")


def judged(port: int, requests: Sequence[bytes], count: int) -> None:
    """Raises RuntimeError where one is not judged."""
    statuses = run(closed_loop(port, requests, clients=2, count=count)).statuses
    if set(statuses) != {200}:
        raise RuntimeError(f"not every request was judged: {statuses}")


def refused(port: int, requests: Sequence[bytes], count: int) -> None:
    """Raises RuntimeError where one is not refused."""
    statuses = run(closed_loop(port, requests, clients=REFUSED_CLIENTS, count=count)).statuses
    if set(statuses) != {429}:
        raise RuntimeError(f"not every request was refused: {statuses}")


@contextmanager
def unfinished(port: int, request: bytes) -> Iterator[None]:
    """A request whose last bytes do not come: it holds its place for as long as the block lasts."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request[:-16])
        time.sleep(0.2)  # under valgrind it takes a while to be admitted
        yield


if __name__ == "__main__":
    sys.exit(main())
