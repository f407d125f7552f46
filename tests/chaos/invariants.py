"""What must hold after every schedule, whatever has happened in it; each check gives the faults in words.

- every accepted request is answered once;
- each verdict follows the threshold of the version it names, and that version is the one that was ordered;
- the audit chain is whole, and holds each verdict once;
- the service is ready again within READY_S, and at its full strength;
- memory is back to within MEMORY_SHARE of what it was before.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress

import psutil

from benchmarks.harness.connection import HOST
from service.audit.verify import verify
from tests.chaos.disturbances import Orders
from tests.chaos.load import Record, Reply
from tests.chaos.schedule import Schedule
from tests.chaos.site import PRODUCTS
from tests.chaos.world import PROCESSES, World

READY_S = 5.0
MEMORY_SHARE = 0.05
SETTLE_S = 10.0  # for memory to come back, and for records to reach the disk
STRENGTH_S = 180.0  # on a busy machine; `ready again` is judged by READY_S
KILLS = frozenset({"kill one", "kill both", "kill parent"})


def answered_once(schedule: Schedule, record: Record) -> Iterator[str]:
    """A connection that ends without an answer is allowed where a process was killed, and where the service was
    stopped for a connection that nobody had accepted yet."""
    yield from record.faults
    lost = len(record.lost)
    if "stop" in schedule.kinds:
        lost = record.lost.count(False)
    if lost and not KILLS & schedule.kinds:
        yield f"{lost} requests were not answered"


def verdicts_fit(world: World, record: Record, orders: Orders) -> Iterator[str]:
    """Hash, threshold, score and decision are those of the version that the verdict names."""
    yield from orders.faults
    for reply in record.replies:
        entry = reply.entry
        if "error" in entry:
            if entry["error"]["code"] not in {"not_ready", "deadline_exceeded", "shutting_down", "overloaded"}:
                yield f"{reply.product}: {entry['error']}"
            continue
        version = str(entry["artifact"]["version"])
        known = world.site.known[reply.product].get(version)
        if known is None:
            yield f"{reply.product}: version {version} judged, which never should"
            continue
        score = known.scores[reply.picture]
        expected = "NG" if score > known.threshold else "OK"
        decision = entry["decision"] if entry["decision"] != "REVIEW" else "OK"
        if entry["artifact"]["hash"] != known.hash or not math.isclose(entry["threshold"], known.threshold):
            yield f"{reply.product} {version}: hash or threshold of another version: {entry}"
        elif not math.isclose(entry["score"], score, rel_tol=1e-4) or decision != expected:
            yield f"{reply.product} {version}: picture {reply.picture} {entry['score']} {decision}, not {score}"
        yield from _as_ordered(reply, version, orders)


def _as_ordered(reply: Reply, version: str, orders: Orders) -> Iterator[str]:
    for begin, end, ordered in orders.spans.get(reply.product, ()):
        if begin < reply.sent and reply.answered < end and version != ordered:
            yield (
                f"{reply.product}: version {version} answered a request that was sent {reply.sent - begin:.3f} s "
                f"after {ordered} had been activated"
            )


def audit_is_whole(world: World, schedule: Schedule, record: Record, given_up: int = 0) -> Iterator[str]:
    """No chain is broken; each verdict that was given has one record, but for those whose process was killed.

    `given_up` are the records of which the log says that they were: by a stop while the disk was full.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        breaks = [f"{report.name}: {text}" for report in verify(world.audit) for text in report.breaks]
        written = Counter(_request_ids(world))
        missing = [one for one in record.verdict_ids if not written[one]]
        if (not breaks and not missing) or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    yield from breaks
    twice = [one for one in record.verdict_ids if written[one] > 1]
    if twice:
        yield f"{len(twice)} verdicts have two records, {twice[0]} among them"
    if len(missing) > given_up and not KILLS & schedule.kinds:
        yield f"{len(missing)} verdicts have no record, {missing[0]} among them"


def _request_ids(world: World) -> Iterator[str]:
    for file in world.audit.glob("chain-*/*.jsonl"):
        with suppress(FileNotFoundError):
            for line in file.read_bytes().splitlines():
                with suppress(ValueError):
                    record = json.loads(line)
                    if record.get("kind") == "verdict":
                        yield record["request_id"]


def memory_of(world: World) -> dict[int, int]:
    """Resident bytes of the parent and its server processes, by pid."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(world.service.pid), *world.servers()):
            found[process.pid] = process.memory_info().rss
    return found


def memory_is_back(world: World, before: Mapping[int, int], calmed: Mapping[int, int]) -> Iterator[str]:
    """Each process has what it had `before` the schedule.

    One that is not among the `calmed`, which have seen all that takes memory once, may come to the most that any of
    these had, or an old one has: a process that has begun since may have judged little so far.
    """
    most = max((*before.values(), *calmed.values()), default=0)
    allowed = {pid: size if pid in calmed else most for pid, size in before.items()}
    deadline = time.monotonic() + SETTLE_S
    while True:
        over = {
            pid: (size, allowed.get(pid, most))
            for pid, size in memory_of(world).items()
            if size > (1 + MEMORY_SHARE) * allowed.get(pid, most)
        }
        if not over or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    for pid, (now, then) in over.items():
        yield f"process {pid} has {now >> 20} MiB, {then >> 20} MiB is what it or others had before"


def is_judging(world: World) -> bool:
    """Whether every product is judged, asked on connections of their own."""
    for product in PRODUCTS:
        connection = http.client.HTTPConnection(HOST, world.port, timeout=10)
        try:
            connection.request(
                "POST", f"/score?product={product}", world.site.pictures[0], {"Content-Type": "image/png"}
            )
            if connection.getresponse().status != 200:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    return True


def at_full_strength(world: World) -> bool:
    """Whether all processes are ready."""
    try:
        return len(world.servers()) == PROCESSES and world.service.metric("mkd_ready") == PROCESSES
    except OSError:
        return False
