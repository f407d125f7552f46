"""Images a second through HTTP, one image a request: this service and LitServe around our detector, in turns.

The same artifact, engine, threads, batch and client. Each gets the form it likes: ours multipart, LitServe JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.connection import post, post_images
from benchmarks.harness.inputs import pictures, served_folder
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import DIRECT, ROOT, ServiceProcess, free_port
from service.machine.openmp import let_waiting_threads_sleep
from service.run.settings import Settings, thread_counts

READY_WITHIN_S = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where ours is not the slower one."""
    options = options_of(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="[3]")
    options.add_argument("--seconds", type=float, default=12.0, help="of each turn [12]")
    options.add_argument("--clients", type=int, default=48, help="[48]")
    options.add_argument("--batch", type=int, default=16, help="images in a batch at most [16]")
    options.add_argument(
        "--peers-python", type=Path, default=Path(sys.executable), help="interpreter that has litserve [this one]"
    )
    given = options.parse_args(arguments)
    where = machine()
    if not has_litserve(str(given.peers_python)):
        return report("peers_http", given, where, {"missing": "litserve is not installed"}, ())
    results, bars = measure(given)
    return report("peers_http", given, where, results, bars)


def has_litserve(python: str) -> bool:
    """Whether that interpreter can import it."""
    return subprocess.run([python, "-c", "import litserve"], capture_output=True, check=False).returncode == 0


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """Closed loops in turns."""
    let_waiting_threads_sleep()
    images = pictures(64)
    bodies = [json.dumps({"image": base64.b64encode(image).decode()}).encode() for image in images]
    requests = {
        "ours": [post_images("/score", [image]) for image in images],
        "litserve": [post("/predict", body, "application/json") for body in bodies],
    }
    rates: dict[str, list[float]] = {name: [] for name in requests}
    times: dict[str, list[float]] = {name: [] for name in requests}
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-batch", str(given.batch)) as service,
        lit_service(given, artifact.path) as (port, group),
    ):
        ports = {"ours": service.port, "litserve": port}
        for number in range(given.rounds):
            for name in list(ports) if number % 2 == 0 else reversed(ports):
                # Without requests LitServe's processes still ask for work: a twelfth of a core, which would be ours.
                os.killpg(group, signal.SIGCONT if name == "litserve" else signal.SIGSTOP)
                tally = run(closed_loop(ports[name], requests[name], clients=given.clients, seconds=given.seconds))
                if set(tally.statuses) != {200} or not all(seen.verdicts for seen in tally.answers):
                    raise RuntimeError(f"{name}: not every request was judged: {tally.statuses}")
                rates[name].append(tally.images_per_second(given.seconds / 6, given.seconds))
                times[name] += [seen.seconds for seen in tally.answers]
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}/s" for name, found in rates.items()))
    results: dict[str, object] = {"network_input_px": artifact.preprocessing.image_size}
    for name, found in rates.items():
        results[f"{name}_images_per_s"] = spread(found)
        ordered = sorted(times[name])
        results[f"{name}_ms"] = {
            "p50": round(statistics.median(ordered) * 1000),
            "p99": round(ordered[round(0.99 * (len(ordered) - 1))] * 1000),
        }
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["litserve"], strict=True))
    return results, [Bar("ours as a multiple of LitServe's images a second", ratio, ">=", 1.0)]


@contextmanager
def lit_service(given: argparse.Namespace, artifact: Path) -> Iterator[tuple[int, int]]:
    """LitServe's port and process group, from ready to stopped."""
    port, threads = free_port(), thread_counts(Settings(), on_cpu=True).torch
    command = [str(given.peers_python), "-m", "benchmarks.harness.lit_service", str(artifact.resolve())]
    command += ["--port", str(port), "--batch", str(given.batch), "--threads", str(threads)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        patience = time.monotonic() + READY_WITHIN_S
        while not is_up(port):
            if process.poll() is not None or time.monotonic() > patience:
                raise RuntimeError(f"LitServe did not start (exit code {process.poll()})")
            time.sleep(0.2)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_up(port: int) -> bool:
    """Whether its health route says so."""
    try:
        with DIRECT.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
