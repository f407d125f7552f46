"""Takes the images of a tar stream from its body, has them judged, and gives a line for each in their order.

    body  -> next member -> room for its views and bytes -> its data -> a task that judges it
    lines <- the oldest task

A stream has at most VIEWS_AT_ONCE views in hand, from the first byte of an image to the client's reading of its line.
So its body is read only as fast as it is judged, and judged only as fast as the answer is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from models.imaging.errors import ImageError
from service.engine.admission import Permit
from service.errors import MalformedRequest, NoImages, RequestCancelled, ServiceError, TooManyImages
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspection import Inspection
from service.inspection.parts import names_light, parts_of
from service.inspection.verdict import ImageFailure, Verdict
from service.rest import schemas
from service.rest.bodies.body_stream import BodyStream
from service.rest.bodies.tar_members import TarMember, TarMembers
from service.rest.stream_part import StreamPart
from service.rest.stream_room import StreamRoom
from service.rest.verdict_view import entry_of

VIEWS_AT_ONCE = 64  # of one stream; a picture that has more is judged alone
Entry = Verdict | ImageFailure


@dataclass(frozen=True)
class StreamLimits:
    """`max_images` of one stream; images are judged within `deadline_s` of their last byte, None for any time."""

    max_images: int
    max_image_bytes: int
    deadline_s: float | None


class ImageStream:
    """The images of one stream: `read` takes them from the body, `lines` gives what became of them."""

    def __init__(self, inspection: Inspection, body: BodyStream, limits: StreamLimits, caller: str) -> None:
        self._inspection, self._body, self._limits = inspection, body, limits
        self._members = TarMembers(body)
        self._lights = {group.name.casefold() for group in inspection.version.preprocessing.groups}
        self._part: StreamPart | None = None
        self._views = inspection.version.judge.views.count
        self._space = StreamRoom(inspection.engine.admission, body, self._views, limits.max_image_bytes, caller)
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
                if self._part is not None and self._part.takes(member):
                    await self._gather(self._part, member)
                    continue
                self._close_part()
                await self._room.acquire()
                await self._take(member)
            self._close_part()
            if not self._count:
                raise NoImages("the tar has no file in it: send at least one image")
        except RequestCancelled:
            raise
        except ServiceError as error:
            self._error = error
            self._close_part()
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
        if self._lights and names_light(EncodedImage(b"", member.name), self._lights):
            self._part = StreamPart(index, member.folder, self._limits.max_image_bytes, set(self._lights))
            await self._gather(self._part, member)
            return
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

    async def _gather(self, part: StreamPart, member: TarMember) -> None:
        """One more file of a part; what is wrong with one is wrong with the part."""
        try:
            part.announce(member)
            if part.error is None and part.permit is None:
                data, part.permit = await self._data(member)
            elif part.error is None and part.permit is not None:
                self._space.check(member)
                await self._space.grow(part.permit, member.size)
                data = await self._members.read(member)
            else:
                raise part.error or ImageError("image_truncated", "a file of the part could not be read")
            part.files.append(EncodedImage(data, member.name, folder=member.folder))
        except ImageError as error:
            part.fail(error)
            await self._members.pass_over(member)
        except MalformedRequest as error:
            part.fail(ImageError("image_truncated", error.detail))
            raise
        if part.is_whole:
            self._close_part()

    def drop_part(self) -> None:
        """Give back what a part holds whose stream has ended."""
        if self._part is not None and self._part.permit is not None:
            self._part.permit.release()

    def _close_part(self) -> None:
        """The files that have come are all of their part."""
        part, self._part = self._part, None
        if part is None:
            return
        permit, error = part.permit, part.error
        if error is not None or permit is None:
            if permit is not None:
                permit.release()
            failed = error or ImageError("image_truncated", "the stream ends before the part's first file")
            self._enter(self._failure(part.index, part.folder, failed))
        else:
            self._enter(self._judge_part(part, permit)).add_done_callback(lambda _: permit.release())

    async def _judge_part(self, part: StreamPart, permit: Permit) -> Entry:
        groups = self._inspection.version.preprocessing.groups
        (image,) = await self._inspection.threads.run(parts_of, part.files, groups)
        part.files.clear()
        return await self._judge(part.index, image, permit)

    def _enter(self, work: Coroutine[Any, Any, Entry]) -> asyncio.Task[Entry]:
        task = asyncio.create_task(work)
        self.judging.add(task)
        self._entries.put_nowait(task)
        return task

    async def _data(self, member: TarMember) -> tuple[bytes, Permit]:
        """The bytes of an image and the permit that holds them. Raises ImageError where none of them is to be read."""
        self._space.check(member)
        permit = await self._space.admit(member.size)
        try:
            return await self._members.read(member), permit
        except BaseException:
            permit.release()
            raise

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
