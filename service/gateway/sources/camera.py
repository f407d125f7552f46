"""What all cameras have in common: a thread of their own, deadlines, and frames that belong to their trigger."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from pydantic import Field

from service.gateway.codes import Code
from service.gateway.events import Acquire
from service.gateway.own_thread import OwnThread
from service.gateway.picture import Picture, PictureError
from service.gateway.schema import LineSchema

OPEN_WITHIN_S = 20.0
CHECK_WITHIN_S = 5.0
CLOSE_WITHIN_S = 15.0
T = TypeVar("T")


class CameraSettings(LineSchema):
    """What all cameras have in common."""

    trigger: str = Field(
        default="software",
        pattern=r"^\w{1,32}$",
        description="software: the gateway triggers the camera; else the camera's input line, as Line1, that the PLC "
        "triggers it by together with the station.",
    )
    max_age_ms: float = Field(
        default=50, ge=0, le=10000, description="With an input line: how much older than the trigger a frame may be."
    )
    exposure_us: float | None = Field(default=None, gt=0, description="Exposure, microseconds; else as it is set.")
    pixel_format: str = Field(default="", description="GenICam name, as Mono8; else as it is set.")


class Device(Protocol):
    """One open camera. All methods block and raise PictureError; they run in one thread."""

    def open(self) -> None: ...

    def frame(self, seconds: float) -> Picture:
        """The frame of a trigger given now, within so many seconds."""
        ...

    def check(self) -> None:
        """Raises PictureError(CAMERA_LOST) where the camera does not answer."""
        ...

    def close(self) -> None: ...


class CameraSource:
    """A source of pictures around a device; `device` makes a fresh one for each opening."""

    def __init__(self, device: Callable[[], Device]) -> None:
        self._make = device
        self._device: Device | None = None
        self._thread: OwnThread | None = None

    async def open(self) -> None:
        await self.close()
        self._thread, self._device = OwnThread(), self._make()
        await self._call(self._device.open, OPEN_WITHIN_S)

    async def acquire(self, order: Acquire) -> Picture:
        if self._device is None:
            raise PictureError(Code.CAMERA_LOST, "the camera is not open")
        device, seconds = self._device, order.deadline - time.monotonic()
        return await self._call(lambda: device.frame(seconds), seconds + 0.5)

    async def check(self) -> None:
        if self._device is not None:
            await self._call(self._device.check, CHECK_WITHIN_S)

    async def close(self) -> None:
        thread, device = self._thread, self._device
        self._thread = self._device = None
        if thread is None or device is None:
            return
        # Waited for: a late word to the old connection would stop the camera that a new one has just started.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await thread.run(device.close)
        thread.end(lambda: None)

    async def _call(self, call: Callable[[], T], seconds: float) -> T:
        assert self._thread is not None
        try:
            async with asyncio.timeout(seconds):
                return await self._thread.run(call)
        except TimeoutError:
            raise PictureError(
                Code.CAMERA_LOST, f"the camera's library did not return within {seconds:.1f} s"
            ) from None
