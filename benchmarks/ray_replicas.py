"""Images a second of one replica on Ray Serve, through Ray's proxy, against the plain service, in one interleaved run.

The two take turns in alternating order, with the same settings, threads and requests; who waits is idle. Ray's proxy,
controller and agents run on the same cores as everything else, and what they cost counts against Ray.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread, version_of
from benchmarks.harness.service_process import ROOT, ServiceProcess, free_port
from models.artifact import load_artifact

SHARE_OF_PLAIN = 0.9
REQUESTS = 8  # different ones
OBJECT_STORE = 200 << 20
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),  # replicas run this checkout
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "service.cluster.edge:middlewares",
}


@dataclass(frozen=True)
class OnRay:
    """A replica that answers, and what it took to have it."""

    port: int
    cluster_s: float
    ready_s: float
    resident_mib: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--batch", type=int, default=16, help="images in a batch at most, and in a request [16]")
    options.add_argument("--clients", type=int, default=3, help="clients that send whole batches [3]")
    options.add_argument("--single-clients", type=int, default=48, help="clients that send one image each [48]")
    options.add_argument("--rounds", type=int, default=4, help="[4]")
    options.add_argument("--seconds", type=float, default=10.0, help="of each turn [10]")
    given = options.parse_args(arguments)
    os.environ.update(ENVIRONMENT)
    where = machine()
    results, bars = measure(given)
    return report("ray_replicas", given, {**where, "ray": version_of("ray")}, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """All rounds."""
    images = pictures(REQUESTS * given.batch)
    requests = {
        "batches": ([post_images("/score", images[start::REQUESTS]) for start in range(REQUESTS)], given.clients),
        "singles": ([post_images("/score", [image]) for image in images], given.single_clients),
    }
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-batch", str(given.batch)) as plain,
        replica(folder, given.batch) as on_ray,
    ):
        ports = {"plain": plain.port, "ray": on_ray.port}
        rates: dict[tuple[str, str], list[float]] = {(form, name): [] for form in requests for name in ports}
        for number in range(given.rounds):
            turns = list(rates)
            for form, name in turns if number % 2 == 0 else reversed(turns):
                asked, clients = requests[form]
                rates[form, name].append(images_per_second(ports[name], asked, clients, given.seconds))
            last = ", ".join(f"{form} {name} {found[-1]:.2f}/s" for (form, name), found in rates.items())
            print(f"round {number + 1}: {last}")
        plain_mib = plain.resident_bytes() / 2**20
        heads = head_load_ms(artifact.path)
    results: dict[str, object] = {
        "head_load_ms": spread(heads),
        "picture": f"PNG, RGB, {SIDE} px, {statistics.median(map(len, images)):.0f} bytes",
        "network_input_px": artifact.preprocessing.image_size,
        "plain_ready_after_s": round(plain.ready_after_s, 1),
        "cluster_up_after_s": round(on_ray.cluster_s, 1),
        "replica_ready_after_s": round(on_ray.ready_s, 1),
        "plain_resident_mib": round(plain_mib),
        "ray_resident_mib_before_load": {name: round(mib) for name, mib in on_ray.resident_mib.items()},
    }
    bars = []
    for form in requests:
        shares = [ray / alone for ray, alone in zip(rates[form, "ray"], rates[form, "plain"], strict=True)]
        for name in ports:
            results[f"{form}_{name}_images_per_s"] = spread(rates[form, name])
        results[f"{form}_share_of_plain"] = spread(shares)
        bars.append(Bar(f"Ray ({form}) as a share of plain", statistics.median(shares), ">=", SHARE_OF_PLAIN))
    return results, bars


def head_load_ms(folder: Path) -> list[float]:
    """Milliseconds to read an artifact and check all of it, without its golden images."""
    found = []
    for _ in range(10):
        started = time.perf_counter()
        load_artifact(folder)
        found.append((time.perf_counter() - started) * 1000)
    return found


@contextmanager
def replica(folder: Path, batch: int) -> Iterator[OnRay]:
    """One replica with all cores of a cluster of this machine alone."""
    import ray
    from ray import serve

    from service.cluster.application import deployment
    from service.cluster.replica import settings_of

    cores = len(os.sched_getaffinity(0))
    started = time.monotonic()
    ray.init(
        num_cpus=cores,
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        port = free_port()
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        up = time.monotonic()
        arguments = {"artifacts": str(folder.resolve()), "insecure_no_auth": True, "max_batch": batch}
        actor = {"num_cpus": cores, "runtime_env": {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}}
        wanted = deployment(settings_of(arguments)).options(num_replicas=1, ray_actor_options=actor)
        serve.run(wanted.bind(arguments), name="mkdserve")
        yield OnRay(port, up - started, time.monotonic() - up, resident())
        serve.shutdown()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def resident() -> dict[str, float]:
    """MiB of the replica, of the proxy, and of the rest of Ray's processes below this one together."""
    found = {"replica": 0.0, "proxy": 0.0, "rest": 0.0}
    for process in psutil.Process().children(recursive=True):
        try:
            command, size = " ".join(process.cmdline()), process.memory_full_info().uss / 2**20
        except psutil.Error:
            continue
        if "ray" not in command and "gcs" not in command:
            continue
        kind = "replica" if "ServeReplica" in command else "proxy" if "ProxyActor" in command else "rest"
        found[kind] += size
    return found


def images_per_second(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> float:
    """A closed loop, its first sixth left out; raises where anything was not judged."""
    tally = run(closed_loop(port, requests, clients=clients, seconds=seconds))
    if tally.unanswered or set(tally.statuses) != {200} or not all(seen.verdicts for seen in tally.answers):
        raise RuntimeError(f"not every request was judged: {tally.statuses}, {tally.unanswered[:3]}")
    return tally.images_per_second(seconds / 6, seconds)


if __name__ == "__main__":
    sys.exit(main())
