"""What the service tells as it happens (GET /events, server-sent events), resumed after a cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx

from mkdserve.client.calls import params
from mkdserve.client.errors import AnswerInvalid, ClientError
from mkdserve.client.exchange import Exchange, reaching
from mkdserve.client.feedback import StoredVerdict
from mkdserve.client.retries import Retries, may_pass

SILENCE_S = 45.0  # three of the states that come every 15 s
ROWS = frozenset({"verdict", "review"})
KINDS = ROWS | {"state", "gap"}


@dataclass(frozen=True)
class Event:
    """`kind` is verdict, review, state or gap (more was missed than is sent again).

    `row` is there for the first two, `data` for the others. `id` is what `after` takes to go on behind this event.
    """

    kind: str
    id: int | None
    row: StoredVerdict | None
    data: dict[str, Any] | None


async def events(
    exchange: Exchange, retries: Retries, product: str | None, station: str | None, after: int | None
) -> AsyncGenerator[Event, None]:
    """Events without end. A connection that breaks or falls silent is made again behind the last event.

    Raises ClientError where the service refuses, or cannot be reached for `retries.attempts` times in a row.
    """
    query, last, failed = params({"product": product, "station": station}), after, 0
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
        try:
            async with exchange.stream("/events", query, headers) as answer:
                async for event in parsed(answer):
                    failed, last = 0, last if event.id is None else event.id
                    yield event
            await asyncio.sleep(retries.first_s)  # the service has ended it: not at once again
        except TimeoutError:
            continue
        except ClientError as error:
            failed += 1
            wait = retries.wait_s(failed, error, float("inf"))
            if wait is None or not may_pass(error, repeatable=True):
                raise
            await asyncio.sleep(wait)


async def parsed(answer: httpx.Response) -> AsyncGenerator[Event, None]:
    """The events of one connection. Raises TimeoutError after SILENCE_S without a line, AnswerInvalid."""
    fields: dict[str, list[str]] = {}
    async with contextlib.aclosing(answer.aiter_lines()) as lines:  # type: ignore[type-var]
        while True:
            with reaching(answer.request.url):
                async with asyncio.timeout(SILENCE_S):
                    line = await anext(lines, None)
            if line is None:
                return
            if line:
                name, _, value = line.partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
                continue
            if "data" in fields:
                kind = fields.get("event", ["message"])[-1]
                if kind in KINDS:
                    yield _event(kind, fields)
            fields = {}


def _event(kind: str, fields: dict[str, list[str]]) -> Event:
    data = "\n".join(fields["data"])
    try:
        id = int(fields["id"][-1]) if "id" in fields else None
        if kind in ROWS:
            return Event(kind, id, StoredVerdict.model_validate_json(data), None)
        return Event(kind, id, None, dict(json.loads(data)))
    except (ValueError, TypeError) as error:
        raise AnswerInvalid(f"an event of the kind {kind} cannot be read: {type(error).__name__}") from error
