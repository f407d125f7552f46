"""Says in words what a start with these settings would do, without doing it: `mkd-serve --check`.

Devices are not taken into use, so the golden scores of the artifacts are left to the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from models.exit_codes import ExitCode
from models.imaging.limits import PEAK_BYTES
from models.sources.weights import cache_folder
from models.writing import why_not_writable
from service.auth import KeyFileError, KeyRing
from service.metrics import Metrics
from service.products.product import ProductStatus
from service.products.registry import Registry
from service.run.cache import cache_fault
from service.run.command_line import SettingsError
from service.run.port import PortTaken, bound_socket
from service.run.settings import Settings, thread_counts

PROCESS_BYTES = 700 << 20  # interpreter, torch and one source with its work space
GIB = 1 << 30


class Finding(NamedTuple):
    """One line: whether it stands in the way of judging, and what would happen."""

    good: bool
    text: str


def run_check(settings: Settings, say: Callable[[str], None]) -> int:
    """A line for each thing that was looked at; whether the service would start and judge."""
    logging.getLogger("mkdserve").addHandler(logging.NullHandler())  # what it would log is told below
    findings = list(check(settings))
    for finding in findings:
        say(f"{'ok  ' if finding.good else 'BAD '} {finding.text}")
    good = all(finding.good for finding in findings)
    say("it would start and judge" if good else "it would not judge as it is; see the lines that begin with BAD")
    return ExitCode.DONE if good else ExitCode.NOT_IN_ORDER


def check(settings: Settings) -> Iterator[Finding]:
    """Artifacts, pins, keys, cache folder, feedback store, port, line and memory, in this order."""
    try:
        statuses, reason = asyncio.run(_products(settings))
    except (OSError, ValueError) as error:
        yield Finding(False, f"pins: {error}")
        statuses, reason = [], None
    else:
        yield _pins(settings)
    served = [status for status in statuses if status.version is not None]
    for status in statuses:
        yield from _product(status)
    if reason is not None:
        yield Finding(False, f"artifacts: {reason}")
    elif len(served) > 1 or len(statuses) > 1:
        yield Finding(True, f"artifacts: {len(served)} of {len(statuses)} products; each request has to name one")
    yield _keys(settings)
    yield _cache()
    yield _feedback(settings)
    yield _port(settings)
    if settings.line is not None:
        yield _line(settings.line)
    yield _memory(settings, sum(status.head_bytes for status in served))


async def _products(settings: Settings) -> tuple[list[ProductStatus], str | None]:
    """What the registry of a service would make of the folder; devices are not asked, so golden scores are not."""
    registry = Registry(
        settings.artifacts,
        validate=lambda _: None,
        metrics=Metrics(),
        state_file=settings.pins_file,
        state_required=settings.state_file is not None,
        watch_s=0,
    )
    await registry.start()
    try:
        ready, reason = registry.ready()
        return registry.products(), None if ready else reason
    finally:
        await registry.stop()


def _product(status: ProductStatus) -> Iterator[Finding]:
    if status.version is not None:
        why = "pinned" if status.pinned else "the highest" if status.versions else "the only one"
        yield Finding(True, f"product {status.name}: version {status.version} would be served ({why})")
        for doubt in status.doubts:
            yield Finding(True, f"product {status.name}: beware, {doubt}")
    elif status.state == "unloaded":
        yield Finding(True, f"product {status.name}: unloaded by an operator; load it to serve it")
    for version, reason in status.problems.items():
        # Another version of it may be served; then this is a warning in words.
        yield Finding(status.version is not None, f"product {status.name} {version}: refused: {reason}")


def _pins(settings: Settings) -> Finding:
    file = settings.pins_file
    if file is None:
        return Finding(True, "pins: in memory only; what is activated or rolled back ends with the service")
    if why_not_writable(file.parent) is None:
        return Finding(True, f"pins: kept in {file}")
    required = settings.state_file is not None
    then = "changes are refused" if required else "they stay in memory and end with the service"
    return Finding(not required, f"pins: {file} cannot be written; {then}")


def _keys(settings: Settings) -> Finding:
    if not settings.auth_enabled:
        return Finding(True, f"keys: none; whoever reaches {settings.host} may do everything")
    try:
        keys = KeyRing(settings.api_keys_file, settings.api_keys)
    except KeyFileError as error:
        return Finding(False, f"keys: {error}")
    return Finding(True, f"keys: {len(keys)}")


def _cache() -> Finding:
    """A start that finds nothing there takes longer, and that is all."""
    if (fault := cache_fault()) is not None:
        return Finding(True, f"cache: beware, {fault}")
    return Finding(True, f"cache: what a start finds is kept in {cache_folder()}")


def _feedback(settings: Settings) -> Finding:
    """What keeps verdicts from being stored keeps none from being given."""
    place = settings.feedback_place
    if place is None:
        return Finding(True, "feedback: off; no verdict is stored for review")
    if settings.feedback_url is not None:
        from service.feedback.database import unreachable

        reason = unreachable(settings.feedback_url)
        where = "the PostgreSQL database"
    else:
        reason, where = why_not_writable(place), str(place)
    if reason is None:
        return Finding(True, f"feedback: verdicts are stored in {where}")
    return Finding(True, f"feedback: beware, no verdict would be stored in {where}: {reason}")


def _port(settings: Settings) -> Finding:
    try:
        with bound_socket(settings, patience_s=0) as found:
            found.listen()
    except PortTaken as error:
        return Finding(False, str(error))
    except OSError as error:
        return Finding(False, f"port: {settings.host}:{settings.port} cannot be listened on: {error.strerror or error}")
    return Finding(True, f"port: {settings.host}:{settings.port} is free")


def _line(file: Path) -> Finding:
    """Its connections are `mkd-line check`'s to try."""
    from service.run.line import read_line

    try:
        stations = read_line(file).station
    except SettingsError as error:
        return Finding(False, str(error))
    return Finding(True, f"line: {len(stations)} stations in {file}; `mkd-line check` tries their connections")


def most_bytes(settings: Settings, heads: int, *, on_cpu: bool = True, cores: int | None = None) -> int:
    """Memory of the whole service at most, by its limits, without the devices': `heads` is the bytes of all heads.

    In each of the threads that decode and encode there may be the largest picture that is taken, of the format
    that takes most.
    """
    threads = thread_counts(settings, on_cpu=on_cpu, cores=cores).decode
    pictures = threads * settings.max_image_pixels * max(PEAK_BYTES[name] for name in settings.format_names)
    return settings.processes * (PROCESS_BYTES + pictures + settings.max_waiting_bytes + heads)


def _memory(settings: Settings, heads: int) -> Finding:
    need = most_bytes(settings, heads)
    there = psutil.virtual_memory().available
    words = f"memory: {need / GIB:.1f} GiB at most by these limits, {there / GIB:.1f} GiB are free"
    if need <= there:
        return Finding(True, words)
    more = "; lower --max-waiting-bytes, --max-image-pixels or --decode-threads"
    return Finding(settings.processes * (PROCESS_BYTES + heads) <= there, words + more)
