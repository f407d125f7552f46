"""Answers a tar stream of images with a line of JSON for each, as soon as it and all before it are judged."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import (
    RequestCancelled,
)
from service.inspection.context import InspectionContext
from service.inspection.inspector import Inspector
from service.inspection.options import InspectionOptions
from service.rest.admission_check import AdmissionDecision
from service.rest.bodies.body_stream import BodyStream
from service.rest.image_stream import Entry, ImageStream, StreamLimits
from service.rest.request_checks import RequestChecks

MEDIA_TYPE = "application/x-ndjson"


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
                stream.drop_part()

    async def _write(self, stream: ImageStream, send: Send) -> None:
        begun = False
        async for line in stream.lines():
            if not begun:
                begun = self._decision.keeps_reading = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _ended(*tasks: asyncio.Future[None] | asyncio.Task[Entry]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
