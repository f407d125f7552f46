"""Requests in, permits or refusals out: how many images and bytes may be in the house, told before a body is read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from service.errors import BodyTooLarge, Overloaded, ServiceError, ShuttingDown, TooManyImages

UNMEASURED_RETRY_S = 1.0
MOST_RETRY_S = 60.0


class AdmissionObserver(Protocol):
    def refused(self, reason: str, images: int) -> None: ...

    def in_flight(self, images: int, size: int) -> None: ...


class Admission:
    """Counts what is in the house and closes the door when it is full. Thread-safe, never blocks.

    `rate` is the measured images per second of all devices, None before any measurement; `step_s` the seconds of a full
    step.
    """

    def __init__(
        self,
        *,
        max_images: int,
        max_bytes: int,
        rate: Callable[[], float | None],
        observer: AdmissionObserver,
        step_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.images = 0
        self.size = 0
        self.closed = False
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._rate = rate
        self._step_s = step_s
        self._observer = observer
        self._lock = threading.Lock()

    def enter(self, images: int = 1, size: int = 0, *, patience_s: float | None = None) -> Permit:
        """A permit for `images` and `size` bytes; release it when the reply is made (it is a context manager).

        Where the body's extent is not known yet, enter with what is and `grow` as it arrives. `patience_s` is the time
        to the request's deadline: whoever would wait longer than that is better refused now than answered late.
        Raises Overloaded with the seconds after which what is now in the house will be done, ShuttingDown, or
        TooManyImages and BodyTooLarge where even an empty house would be too small.
        """
        self._take(images, size, patience_s)
        return Permit(self, images, size)

    def try_admit(self, images: int = 1, size: int = 0, *, patience_s: float | None = None) -> None:
        """Raise Overloaded where `enter` would, and count it; take nothing, and leave all else for `enter` to say."""
        with self._lock:
            refusal = self._refusal(images, size, patience_s, grows=False)
        if refusal is not None and isinstance(refusal[1], Overloaded):
            self._observer.refused(refusal[0], max(1, images))
            raise refusal[1]

    def close(self) -> None:
        """Refuse all newcomers from now on; permits given stay good and may still grow."""
        self.closed = True

    def retry_after_s(self) -> float:
        """Seconds until what is in the house now will be done, by the measured rate; at least 0.1, at most 60."""
        rate = self._rate()
        wait_s = self.images / rate if rate else UNMEASURED_RETRY_S
        return min(MOST_RETRY_S, max(0.1, wait_s))

    def _take(self, images: int, size: int, patience_s: float | None, *, grows: bool = False) -> None:
        with self._lock:
            refusal = self._refusal(images, size, patience_s, grows=grows)
            if refusal is None:
                self.images += images
                self.size += size
                self._observer.in_flight(self.images, self.size)
                return
        reason, error = refusal
        self._observer.refused(reason, max(1, images))
        raise error

    def _refusal(
        self, images: int, size: int, patience_s: float | None, *, grows: bool
    ) -> tuple[str, ServiceError] | None:
        if self.closed and not grows:
            return "shutting_down", ShuttingDown("the service is shutting down", retry_after=5.0)
        if images > self._max_images:
            return "images", TooManyImages(f"at most {self._max_images} images can be worked on at once")
        if size > self._max_bytes:
            return "bytes", BodyTooLarge(f"at most {self._max_bytes} bytes can be worked on at once")
        if self.images + images > self._max_images:
            return "images", self._overloaded(f"{self.images} images are being worked on, {self._max_images} at most")
        if self.size + size > self._max_bytes:
            return "bytes", self._overloaded(f"{self.size} bytes are being worked on, {self._max_bytes} at most")
        rate = self._rate()
        ahead_s = self.images / rate if rate else 0.0
        wait_s = ahead_s + min(self._step_s(), ahead_s)  # its own step, which holds no more than those who wait
        # An empty house takes anyone: only work can tell that a measured rate has become wrong.
        if not grows and patience_s is not None and ahead_s and wait_s > patience_s:
            return "wait", self._overloaded(f"the wait is {wait_s:.2f} s and the deadline is in {patience_s:.2f} s")
        return None

    def _overloaded(self, detail: str) -> Overloaded:
        return Overloaded(detail, retry_after=self.retry_after_s())

    def _give_back(self, images: int, size: int) -> None:
        with self._lock:
            self.images -= images
            self.size -= size
            self._observer.in_flight(self.images, self.size)


class Permit:
    """What one request holds of the house. Used by one request; `release` may be called again and does nothing then."""

    def __init__(self, admission: Admission, images: int, size: int) -> None:
        self._admission = admission
        self.images = images
        self.size = size
        self._released = False

    def grow(self, images: int = 0, size: int = 0) -> None:
        """Hold more, or raise Overloaded (TooManyImages, BodyTooLarge) and hold what it held."""
        self._admission._take(images, size, None, grows=True)
        self.images += images
        self.size += size

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._admission._give_back(self.images, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
