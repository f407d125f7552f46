"""Decides how many images and bytes the service works on at once, and who is refused.

In: the head of a request. Out: a permit, or a refusal with the time after which to try again. A permit counts
the bytes that have arrived, not those that were announced: whoever announces much and sends nothing holds little.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from models.sizes import size_words
from service.errors import BodyTooLarge, Overloaded, ServiceError, ShuttingDown, TooManyImages

UNMEASURED_RETRY_S = 1.0
MOST_RETRY_S = 60.0
RESERVED_BYTES = 64 << 10  # per request, before anything of its body is here: what the connection itself may hold


class AdmissionObserver(Protocol):
    def refused(self, reason: str, images: int) -> None: ...

    def in_flight(self, images: int, size: int) -> None: ...


class Admission:
    """Counts what is in flight and refuses what is too much. Thread-safe, never blocks.

    `rate` is the measured images per second of all devices, None before any measurement; `step_s` the seconds of a full
    step. `max_wait_s` is the longest wait by that rate, 0 for no limit. `caller_share` is the share of `max_bytes` that
    the requests of one caller may hold together; a caller's only request may hold more.
    """

    def __init__(
        self,
        *,
        max_images: int,
        max_bytes: int,
        rate: Callable[[], float | None],
        observer: AdmissionObserver,
        step_s: Callable[[], float] = lambda: 0.0,
        max_wait_s: float = 0.0,
        caller_share: float = 1.0,
    ) -> None:
        self.images = 0
        self.size = 0
        self.closed = False
        self.reservation = min(RESERVED_BYTES, max_bytes)
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._caller_bytes = int(caller_share * max_bytes)
        self._max_wait_s = max_wait_s
        self._rate = rate
        self._step_s = step_s
        self._observer = observer
        self._lock = threading.Lock()
        self._bytes_of: Counter[str] = Counter()
        self._permits_of: Counter[str] = Counter()

    def try_admit(
        self,
        images: int = 1,
        size: int = 0,
        *,
        announced: int = 0,
        patience_s: float | None = None,
        caller: str = "",
        asks_again: bool = False,
    ) -> Permit:
        """A permit for `images` and `size` bytes; release it when the reply has left (it is a context manager).

        Where the body's extent is not known yet, ask with what is and `grow` as it arrives. `announced` bytes are held
        by nobody, but are refused where there is no room for them now. `patience_s` is the time to the request's
        deadline: what would wait longer than that is better refused now than answered late. `caller` is the name of the
        key or the address that the request comes from. `asks_again` says that a refusal is no refusal of anything, as
        whoever asks will wait and ask again: it is not counted.
        Raises Overloaded with the seconds after which what is now in flight will be done, ShuttingDown, or
        TooManyImages and BodyTooLarge where even an idle service would be too small.
        """
        self._take(images, size, caller, announced=announced, patience_s=patience_s, counts=not asks_again)
        return Permit(self, images, size, caller)

    def close(self) -> None:
        """Refuse all new requests from now on; permits given stay good and may still grow."""
        self.closed = True

    def retry_after_s(self) -> float:
        """Seconds until what is in flight now will be done, by the measured rate; at least 0.1, at most 60."""
        rate = self._rate()
        wait_s = self.images / rate if rate else UNMEASURED_RETRY_S
        return min(MOST_RETRY_S, max(0.1, wait_s))

    def _take(
        self,
        images: int,
        size: int,
        caller: str,
        *,
        announced: int = 0,
        patience_s: float | None = None,
        grows: bool = False,
        counts: bool = True,
    ) -> None:
        with self._lock:
            refusal = None if grows else self._refusal_of_new(images, patience_s)
            refusal = refusal or self._refusal(images, max(size, announced), caller, grows=grows)
            if refusal is None:
                self._change(images, size, caller, permits=0 if grows else 1)
                return
        reason, error = refusal
        if counts:
            self._observer.refused(reason, max(1, images))
        raise error

    def _refusal_of_new(self, images: int, patience_s: float | None) -> tuple[str, ServiceError] | None:
        if self.closed:
            return "shutting_down", ShuttingDown("the service is shutting down", retry_after=5.0)
        rate = self._rate()
        ahead_s = self.images / rate if rate else 0.0
        wait_s = ahead_s + min(self._step_s(), ahead_s)  # its own step, which holds no more than those who wait
        if not ahead_s or self.images + images > self._max_images:
            return None  # an idle service takes anyone: only work can tell that a measured rate has become wrong
        if patience_s is not None and wait_s > patience_s:
            return "wait", self._overloaded(f"the wait is {wait_s:.2f} s and the deadline is in {patience_s:.2f} s")
        if self._max_wait_s and ahead_s > self._max_wait_s:
            return "wait", self._overloaded(f"the wait is {ahead_s:.2f} s, {self._max_wait_s:g} s at most")
        return None

    def _refusal(self, images: int, size: int, caller: str, *, grows: bool) -> tuple[str, ServiceError] | None:
        if images > self._max_images:
            return "images", TooManyImages(f"at most {self._max_images} images can be worked on at once")
        if size > self._max_bytes:
            return "bytes", BodyTooLarge(f"at most {size_words(self._max_bytes)} can be worked on at once")
        if self.images + images > self._max_images:
            return "images", self._overloaded(f"{self.images} images are being worked on, {self._max_images} at most")
        if self.size + size > self._max_bytes:
            return "bytes", self._overloaded(
                f"{size_words(self.size)} are being worked on, {size_words(self._max_bytes)} at most"
            )
        others = self._permits_of[caller] - grows
        if others > 0 and self._bytes_of[caller] + size > self._caller_bytes:
            held = self._bytes_of[caller]
            return "caller", self._overloaded(
                f"{size_words(held)} of this caller are being worked on, "
                f"{size_words(self._caller_bytes)} of one caller at most"
            )
        return None

    def _overloaded(self, detail: str) -> Overloaded:
        return Overloaded(detail, retry_after=self.retry_after_s())

    def _change(self, images: int, size: int, caller: str, *, permits: int = 0) -> None:
        """With the lock held."""
        self.images += images
        self.size += size
        self._bytes_of[caller] += size
        self._permits_of[caller] += permits
        if not self._permits_of[caller]:
            del self._permits_of[caller], self._bytes_of[caller]
        self._observer.in_flight(self.images, self.size)

    def _exchange(self, images: int, size: int, caller: str, *, permits: int = 0) -> None:
        with self._lock:
            self._change(images, size, caller, permits=permits)


class Permit:
    """What one request holds. Used by one request; `release` may be called again and does nothing then."""

    def __init__(self, admission: Admission, images: int, size: int, caller: str) -> None:
        self._admission = admission
        self._caller = caller
        self.images = images
        self.size = size
        self._arrived = 0
        self._released = False

    def arrived(self, size: int) -> None:
        """Count `size` more bytes of the body, of which the first fill what was reserved; raises as `grow`."""
        self._arrived += size
        if self._arrived > self.size:
            self.grow(size=self._arrived - self.size)

    def grow(self, images: int = 0, size: int = 0) -> None:
        """Hold more, or raise Overloaded (TooManyImages, BodyTooLarge) and hold what it held."""
        self._admission._take(images, size, self._caller, grows=True)
        self.images += images
        self.size += size

    def holding(self, size: int) -> None:
        """Hold `size` bytes more of what the answer will be made of. Never refused: the work for it is done."""
        if not self._released:
            self._admission._exchange(0, size, self._caller)
            self.size += size

    def answering(self, size: int) -> None:
        """The images are judged and the body is of no use any more: hold the `size` bytes of the answer instead."""
        if not self._released:
            self._admission._exchange(-self.images, size - self.size, self._caller)
            self.images, self.size = 0, size

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._admission._exchange(-self.images, -self.size, self._caller, permits=-1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
