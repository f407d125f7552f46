"""The callers whose answers count: some connections that ask in turn for every product, and note what came back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.connection import HOST, Connection, Unanswered
from tests.chaos.site import PRODUCTS, Site

CALLERS = 4
PAUSE_S = 0.02
ANSWERED = frozenset({200, 404, 429, 503, 504})  # 404: a product that was removed, then unloaded


@dataclass(frozen=True)
class Reply:
    """One request that was answered. Times are of `time.monotonic()`."""

    product: str
    picture: int
    sent: float
    answered: float
    entry: dict[str, Any]


@dataclass
class Record:
    """What the callers have seen. `lost` are requests whose connection ended, True for a connection's first."""

    replies: list[Reply] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    verdict_ids: list[str] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def call_until(stop: asyncio.Event, port: int, site: Site, record: Record, name: str) -> None:
    """CALLERS callers until `stop`; `name` begins their request ids."""
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(_caller(stop, port, site, record, f"{name}-{number}"))


async def _caller(stop: asyncio.Event, port: int, site: Site, record: Record, name: str) -> None:
    connection, fresh, number = Connection(port), True, 0
    while not stop.is_set():
        number += 1
        product, picture = PRODUCTS[number % len(PRODUCTS)], number % len(site.pictures)
        request = request_of(site, product, picture, f"{name}-{number}")
        sent = time.monotonic()
        try:
            answer = await connection.ask(request)
        except Unanswered:
            record.lost.append(fresh)
            fresh = True
            continue
        except OSError:  # nobody listens: the request was not accepted
            fresh = True
            await asyncio.sleep(0.05)
            continue
        fresh = answer.closes
        _note(record, answer.status, answer.body, product, picture, sent, f"{name}-{number}")
        await asyncio.sleep(PAUSE_S)
    connection.close()


def request_of(site: Site, product: str, picture: int, request_id: str) -> bytes:
    """One picture as a raw body."""
    data = site.pictures[picture]
    head = (
        f"POST /score?product={product} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(data)}\r\nX-Request-Id: {request_id}\r\n\r\n"
    )
    return head.encode() + data


def _note(record: Record, status: int, body: bytes, product: str, picture: int, sent: float, request_id: str) -> None:
    record.statuses[status] += 1
    if status not in ANSWERED:
        record.faults.append(f"status {status}: {body[:300]!r}")
        return
    found = json.loads(body)
    if found["request_id"] != request_id:
        record.faults.append(f"request {request_id} was answered as {found['request_id']}")
    if status == 200:
        (entry,) = found["results"]
        record.replies.append(Reply(product, picture, sent, time.monotonic(), entry))
        if "error" not in entry:
            record.verdict_ids.append(request_id)
