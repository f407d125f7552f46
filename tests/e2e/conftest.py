"""The real service as a process of its own, around the tiny real artifacts `bolt` and `tile`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.harness.service_process import ServiceProcess

# Small batches and one thread each, as other work shares the machine; limits low enough to be met by small files.
FLAGS = ("--max-batch", "8", "--torch-threads", "1", "--decode-threads", "1", "--watch-s", "0", "--grpc-port", "0")
LIMITS = ("--max-image-bytes", "300000", "--max-image-pixels", "1000000", "--deadline-ms", "120000")


@pytest.fixture(scope="session")
def flags() -> tuple[str, ...]:
    """Flags for a service of a test's own."""
    return (*FLAGS, *LIMITS)


@pytest.fixture(scope="session")
def service(artifacts_folder: Path, flags: tuple[str, ...]) -> Iterator[ServiceProcess]:
    """One service for every test that leaves it as it was. Its log must not tell of a fault when all is over."""
    with ServiceProcess(artifacts_folder, *flags) as running:
        yield running
    assert faults(running) == []


def faults(service: ServiceProcess) -> list[object]:
    """Lines of the log with a traceback, or that are no JSON at all."""
    strange = [line for line in service.log().splitlines() if line and not line.startswith("{")]
    return [*strange, *(event for event in service.events() if "traceback" in event)]


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    """A client of that service."""
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=120, trust_env=False) as made:
        yield made
