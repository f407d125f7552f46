"""Judges a tar stream of images and answers a line of JSON for each as soon as it and all before it are judged.

    body   -> next member -> room for its views and bytes -> its data -> a task that judges it
    answer <- one line    <- the oldest task

A stream has at most VIEWS_AT_ONCE views in hand, from the first byte of an image to the client's reading of its line.
So its body is read only as fast as it is judged, and judged only as fast as the answer is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from models.imaging.errors import ImageError
from models.sizes import size_words
from service.engine.admission import Permit
from service.errors import (
    BodyTooLarge,
    MalformedRequest,
    NoImages,
    Overloaded,
    RequestCancelled,
    ServiceError,
    TooManyImages,
)
from service.inspection.context import InspectionContext
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspection import Inspection
from service.inspection.inspector import Inspector
from service.inspection.options import InspectionOptions
from service.inspection.verdict import ImageFailure, Verdict
from service.rest import schemas
from service.rest.admission_check import AdmissionDecision
from service.rest.bodies.body_stream import BodyStream
from service.rest.bodies.tar_members import TarMember, TarMembers
from service.rest.request_checks import RequestChecks
from service.rest.verdict_view import entry_of

MEDIA_TYPE = "application/x-ndjson"
VIEWS_AT_ONCE = 64  # of one stream; a picture that has more is judged alone
ASK_AGAIN_S = 0.05  # between asking for room while others have it all
Entry = Verdict | ImageFailure


@dataclass(frozen=True)
class StreamLimits:
    """`max_images` of one stream; images are judged within `deadline_s` of their last byte, None for any time."""

    max_images: int
    max_image_bytes: int
    deadline_s: float | None


class LinesResponse(Response):
    """An answer of JSON lines."""

    media_type = MEDIA_TYPE


class StreamedVerdicts(LinesResponse):
    """The response to a stream. What is wrong before the first image raises ServiceError and becomes a problem."""

    def __init__(
        self,
        inspector: Inspector,
        product: str | None,
        options: InspectionOptions,
        context: InspectionContext,
        checks: RequestChecks,
        decision: AdmissionDecision,
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._inspector, self._product, self._options, self._context = inspector, product, options, context
        self._checks, self._decision, self._record = checks, decision, decision.record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._checks.options.body_limits
        deadline = self._context.deadline
        stream_limits = StreamLimits(
            self._checks.options.max_stream_images,
            limits.max_image_bytes,
            None if deadline is None else deadline - self._context.started,
        )
        body = BodyStream(receive, limits, lambda: self._checks.shutdown.is_set)
        async with self._inspector.open(self._product, self._options, self._context) as inspection:
            if self._decision.permit is not None:
                self._decision.permit.answering(0)  # each image holds its own room from here on
            stream = ImageStream(inspection, body, stream_limits, self._decision.caller)
            reading = asyncio.ensure_future(stream.read())
            writing = asyncio.ensure_future(self._write(stream, send))
            try:
                await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
                # The reading ends before the last line where the client is gone, or by a fault.
                (writing if writing.done() else reading).result()
                self._record.code = stream.error_code
            except RequestCancelled as error:
                if not self._decision.keeps_reading:
                    raise
                self._record.code = error.code  # nobody is left to be told
            finally:
                await _ended(reading, writing, *stream.judging)

    async def _write(self, stream: ImageStream, send: Send) -> None:
        begun = False
        async for line in stream.lines():
            if not begun:
                begun = self._decision.keeps_reading = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class ImageStream:
    """The images of one stream: `read` takes them from the body, `lines` gives what became of them."""

    def __init__(self, inspection: Inspection, body: BodyStream, limits: StreamLimits, caller: str) -> None:
        self._inspection, self._body, self._limits, self._caller = inspection, body, limits, caller
        self._members = TarMembers(body)
        self._views = inspection.version.judge.views.count
        self._room = asyncio.Semaphore(max(1, VIEWS_AT_ONCE // self._views))
        self._entries: asyncio.Queue[asyncio.Task[Entry] | None] = asyncio.Queue()
        self._error: ServiceError | None = None
        self._count = 0
        self.judging: set[asyncio.Task[Entry]] = set()

    @property
    def error_code(self) -> str | None:
        """Of what ended the stream early."""
        return None if self._error is None else self._error.code

    async def read(self) -> None:
        """Read until the stream ends, then wait for the client to leave. Raises RequestCancelled once it has left."""
        try:
            while (member := await self._members.next_member()) is not None:
                await self._room.acquire()
                await self._take(member)
            if not self._count:
                raise NoImages("the tar has no file in it: send at least one image")
        except RequestCancelled:
            raise
        except ServiceError as error:
            self._error = error
        self._entries.put_nowait(None)
        if self._error is not None:
            await asyncio.Event().wait()  # what is left of the body is read off by whoever ends the answer
        await self._body.client_gone()
        raise RequestCancelled("the client hung up before the last line")

    async def lines(self) -> AsyncIterator[bytes]:
        """A line for each image in its order, then the last one. Raises the error of a stream without any image."""
        verdicts = 0
        while (task := await self._entries.get()) is not None:
            entry = await task
            verdicts += isinstance(entry, Verdict)
            yield entry_of(entry).model_dump_json(exclude_none=True).encode() + b"\n"
            self.judging.discard(task)
            self._room.release()
        if self._error is not None and not self._count:
            raise self._error
        yield self._last_line(verdicts)

    async def _take(self, member: TarMember) -> None:
        """One member becomes an entry; the room for it has been taken."""
        index = self._count
        if index == self._limits.max_images:
            raise TooManyImages(f"at most {self._limits.max_images:,} images are taken in one stream")
        self._count = self._inspection.context.images = index + 1
        try:
            data, permit = await self._data(member)
            self._enter(self._judge(index, EncodedImage(data, member.name), permit)).add_done_callback(
                lambda _: permit.release()
            )
        except ImageError as error:
            self._enter(self._failure(index, member.name, error))
            await self._members.pass_over(member)
        except MalformedRequest as error:  # the archive ends within this image: it is one that was sent, and not judged
            self._enter(self._failure(index, member.name, ImageError("image_truncated", error.detail)))
            raise

    def _enter(self, work: Coroutine[Any, Any, Entry]) -> asyncio.Task[Entry]:
        task = asyncio.create_task(work)
        self.judging.add(task)
        self._entries.put_nowait(task)
        return task

    async def _data(self, member: TarMember) -> tuple[bytes, Permit]:
        """The bytes of an image and the permit that holds them. Raises ImageError where none of them is to be read."""
        if not member.is_file:
            raise ImageError("image_unreadable", "the member of the tar is a link, a device or the like, and no file")
        if member.size > self._limits.max_image_bytes:
            most = size_words(self._limits.max_image_bytes)
            raise ImageError("image_too_many_bytes", f"{size_words(member.size)}; at most {most} are taken")
        permit = await self._admitted(member.size)
        try:
            return await self._members.read(member), permit
        except BaseException:
            permit.release()
            raise

    async def _admitted(self, size: int) -> Permit:
        """Room among all that the service works on; waited for, as nobody reads the rest of the body meanwhile."""
        admission = self._inspection.engine.admission
        while True:
            try:
                return admission.try_admit(self._views, size, caller=self._caller, asks_again=True)
            except Overloaded:
                self._body.check_stopping()
                await asyncio.sleep(ASK_AGAIN_S)
            except (TooManyImages, BodyTooLarge) as error:  # even an idle service has no room for it
                raise ImageError("image_too_costly", error.detail) from None

    async def _judge(self, index: int, image: EncodedImage, permit: Permit) -> Entry:
        context, now = self._inspection.context, time.monotonic()
        deadline = None if self._limits.deadline_s is None else now + self._limits.deadline_s
        own = replace(context, started=now, deadline=deadline)  # its counters are those of the request
        return await replace(self._inspection, context=own).judge_one(index, image, permit)

    async def _failure(self, index: int, name: str | None, error: ImageError) -> Entry:
        return self._inspection.failed(index, name, error)

    def _last_line(self, verdicts: int) -> bytes:
        error = self._error
        end = schemas.StreamEndBody(
            request_id=self._inspection.context.request_id,
            complete=error is None,
            images=self._count,
            verdicts=verdicts,
            error=None
            if error is None
            else schemas.EntryErrorBody(code=error.code, title=error.title, detail=error.detail),
        )
        return schemas.StreamEnd(end=end).model_dump_json(exclude_none=True).encode() + b"\n"


async def _ended(*tasks: asyncio.Future[None] | asyncio.Task[Entry]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
