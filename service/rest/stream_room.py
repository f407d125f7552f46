"""Waits for room in the service for the images of one stream: nobody reads the rest of its body meanwhile."""

from __future__ import annotations

import asyncio
import time

from models.imaging.errors import ImageError
from models.sizes import size_words
from service.engine.admission import Admission, Permit
from service.errors import BodyTooLarge, Overloaded, TooManyImages
from service.rest.bodies.body_stream import BodyStream
from service.rest.bodies.tar_members import TarMember

GROW_WITHIN_S = 10.0  # for the next file of a part of which some are there
ASK_AGAIN_S = 0.05  # between asking for room while others have it all


class StreamRoom:
    """`views` are those of one image; a file has `most_bytes` at most; `caller` is whose share it is."""

    def __init__(self, admission: Admission, body: BodyStream, views: int, most_bytes: int, caller: str) -> None:
        self._admission, self._body = admission, body
        self._views, self._most_bytes, self._caller = views, most_bytes, caller

    def check(self, member: TarMember) -> None:
        """Raises ImageError for a member that is no file, or too large a one."""
        if not member.is_file:
            raise ImageError("image_unreadable", "the member of the tar is a link, a device or the like, and no file")
        if member.size > self._most_bytes:
            most = size_words(self._most_bytes)
            raise ImageError("image_too_many_bytes", f"{size_words(member.size)}; at most {most} are taken")

    async def grow(self, permit: Permit, size: int) -> None:
        """Room for one more file of a part. Not waited for without end: others may wait for what this part holds."""
        late = time.monotonic() + GROW_WITHIN_S
        while True:
            try:
                return permit.grow(size=size)
            except Overloaded:
                self._body.check_stopping()
                if time.monotonic() > late:
                    raise ImageError(
                        "image_too_costly", f"there was no room for the part's next file within {GROW_WITHIN_S:g} s"
                    ) from None
                await asyncio.sleep(ASK_AGAIN_S)
            except (TooManyImages, BodyTooLarge) as error:
                raise ImageError("image_too_costly", error.detail) from None

    async def admit(self, size: int) -> Permit:
        """Room among all that the service works on; waited for, as nobody reads the rest of the body meanwhile."""
        while True:
            try:
                return self._admission.try_admit(self._views, size, caller=self._caller, asks_again=True)
            except Overloaded:
                self._body.check_stopping()
                await asyncio.sleep(ASK_AGAIN_S)
            except (TooManyImages, BodyTooLarge) as error:  # even an idle service has no room for it
                raise ImageError("image_too_costly", error.detail) from None
