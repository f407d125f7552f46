"""What cameras that wait for a trigger have in common: which frame counts, and what follows one that does not."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from service.gateway.codes import Code
from service.gateway.picture import Picture, PictureError
from service.gateway.sources.camera import CameraSettings


class TriggeredCamera(ABC):
    """A camera by some library, whose exceptions are `faults`: they mean that the camera is gone.

    After a frame that failed the stream is made anew. After one that did not come nothing more is asked of this
    connection: the source opens another one, so that nothing late can come out of it.
    """

    def __init__(self, settings: CameraSettings, faults: tuple[type[Exception], ...] = ()) -> None:
        self.by_software = settings.trigger == "software"
        self.trigger_source = "Software" if self.by_software else settings.trigger
        self._faults = faults
        self._suspect = False

    def frame(self, seconds: float) -> Picture:
        """The frame of a trigger given now, within so many seconds."""
        self._refuse_suspect()
        until = time.monotonic() + seconds
        try:
            if self.by_software:
                self.flush()
                self.fire()
            return self.take(until)
        except self._faults as error:
            raise PictureError(Code.CAMERA_LOST, first_line(error)) from None
        except PictureError as error:
            self._after(error.code)
            raise

    def check(self) -> None:
        """Raises PictureError(CAMERA_LOST) where the camera does not answer."""
        self._refuse_suspect()
        self.ask()

    def _after(self, code: Code) -> None:
        if code is Code.PICTURE_LATE:
            self._suspect = True
        elif code is not Code.CAMERA_LOST:
            try:
                self.restart()
            except self._faults as error:
                raise PictureError(Code.CAMERA_LOST, first_line(error)) from None

    def _refuse_suspect(self) -> None:
        if self._suspect:
            raise PictureError(Code.CAMERA_LOST, "the last trigger had no frame; the camera is opened anew")

    @abstractmethod
    def flush(self) -> None:
        """Gives away what waits in the library's buffers: it is older than the trigger."""

    @abstractmethod
    def fire(self) -> None:
        """Triggers the camera by software."""

    @abstractmethod
    def take(self, until: float) -> Picture:
        """The next frame, before a time of `time.monotonic()`. Raises PictureError, PICTURE_LATE where none comes."""

    @abstractmethod
    def restart(self) -> None:
        """Makes the stream anew."""

    @abstractmethod
    def ask(self) -> None:
        """Raises PictureError(CAMERA_LOST) where the camera is gone."""


def first_line(error: Exception) -> str:
    """What a library says of a fault, without what follows on further lines."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
