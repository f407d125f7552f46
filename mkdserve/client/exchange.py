"""Sends a call over HTTP until it has a result, an error that is final, or no time left; one core for both clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import httpx

from mkdserve.client.calls import Call
from mkdserve.client.errors import AnswerInvalid, ClientError, DeadlineExceeded, ServiceUnreachable, error_of
from mkdserve.client.retries import Retries
from models.atomic_file import replace_file

T = TypeVar("T")
CONNECTIONS = 32
LONGEST_DEADLINE_S = 3600.0  # the longest that the service takes
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Exchange:
    """Connections to the service at `url`, with one deadline in seconds for every call that brings none.

    The deadline covers all attempts of a call with the waits between them; what is left of it goes along in
    X-Deadline-Ms, so that the service drops what nobody waits for. `transport` replaces the network, as in tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        deadline_s: float,
        retries: Retries,
        verify: bool | ssl.SSLContext,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._deadline_s = checked(deadline_s)
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=None,  # noqa: S113 (the deadline is kept by `call`, over the whole exchange)
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            verify=verify,
            transport=transport,
            trust_env=False,  # no picture goes to a proxy that an environment happens to name
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, call: Call[T]) -> T:
        """The result. Raises ClientError; OSError where the file that takes the answer cannot be written."""
        within = self._deadline_s if call.deadline_s is None else checked(call.deadline_s)
        last: ClientError | None = None
        try:
            async with asyncio.timeout(within) as limit:
                until = time.monotonic() + within
                failed = 0
                while True:
                    try:
                        return await self._attempt(call, until - time.monotonic())
                    except ClientError as error:
                        failed, last = failed + 1, error
                    left = until - time.monotonic()
                    wait = self._retries.wait_s(failed, last, left, repeatable=call.repeatable)
                    if wait is None:
                        raise last
                    await asyncio.sleep(wait)
        except TimeoutError:
            if not limit.expired():
                raise
            before = f"; before that {last}" if last else ""
            raise DeadlineExceeded(f"{call.method} {call.path}: no answer within {within:g} s{before}") from last

    async def _attempt(self, call: Call[T], left_s: float) -> T:
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.params or None,
            headers={**call.headers, "X-Deadline-Ms": f"{max(left_s, 0.001) * 1000:.0f}"},
            files=call.files or None,
            json=call.json,
        )
        with reaching(self._http.base_url):
            answer = await self._http.send(request, stream=True)
            try:
                if answer.status_code in call.statuses and call.into is not None:
                    await store(answer, call.into)
                else:
                    await answer.aread()
            finally:
                await answer.aclose()
        if answer.status_code not in call.statuses:
            raise error_of(answer)
        try:
            return call.read(answer)
        except ValueError as error:
            raise AnswerInvalid(
                f"{call.method} {call.path}: {_words(error)}",
                status=answer.status_code,
                request_id=answer.headers.get("x-request-id"),
            ) from error

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, params: tuple[tuple[str, str], ...], headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """An answer that has begun and may go on without end. Raises ClientError."""
        with reaching(self._http.base_url):
            async with self._http.stream("GET", path, params=params, headers=headers) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise error_of(answer)
                yield answer


@contextlib.contextmanager
def reaching(url: httpx.URL) -> Iterator[None]:
    """Makes errors of the connection those of this client."""
    try:
        yield
    except httpx.TransportError as error:
        words = f"{url}: {type(error).__name__}: {error}".rstrip(": ")
        raise ServiceUnreachable(words, sent=not isinstance(error, NOT_SENT)) from error
    except httpx.DecodingError as error:
        raise AnswerInvalid(f"{url}: the answer's body cannot be read: {error}") from error


async def store(answer: httpx.Response, path: Path) -> None:
    """Write the body into `path`, which appears when it is whole. Raises OSError."""
    with replace_file(path) as beside, beside.open("wb") as file:
        async for piece in answer.aiter_bytes():
            file.write(piece)


def checked(deadline_s: float) -> float:
    """A deadline that the service takes. Raises ValueError."""
    if not 0 < deadline_s <= LONGEST_DEADLINE_S:
        raise ValueError(f"a deadline is above 0 and at most {LONGEST_DEADLINE_S:g} s, not {deadline_s}")
    return deadline_s


def _words(error: ValueError) -> str:
    """What is wrong, without the answer itself, which may be long."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    rows = errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, row['loc'])) or 'the body'}: {row['msg']}" for row in rows[:4])
