"""What a station's runner asks of its adapters: a source of pictures, a link to the PLC, an observer of answers."""

from __future__ import annotations

from typing import Protocol

from service.gateway.events import Acquire, Answer
from service.gateway.picture import Picture


class Source(Protocol):
    """Takes pictures. Every method may raise PictureError; CAMERA_LOST makes the runner open it anew."""

    async def open(self) -> None:
        """Connects; raises PictureError where that fails."""
        ...

    async def acquire(self, order: Acquire) -> Picture:
        """The picture that belongs to this trigger, or PictureError: never one that was taken for another."""
        ...

    async def check(self) -> None:
        """Raises PictureError where the camera is gone. Called now and then while no cycle runs."""
        ...

    async def close(self) -> None:
        """Disconnects; may be called twice."""
        ...


class Link(Protocol):
    """Brings triggers and takes answers, for as long as `run` runs. It reconnects by itself."""

    async def run(self) -> None:
        """Until it is cancelled."""
        ...


class Observer(Protocol):
    """Is told of each answer. It must return at once: the runner does not wait for it."""

    def on_answer(self, station: str, answer: Answer) -> None: ...
