"""One device: how it is taken into use, the worker that holds it now, and how its workers fared lately."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from service.engine.batch_limit import BatchLimit
from service.engine.worker import RunnerT, Worker

GIVE_UP = 4  # deaths without a batch in between after which requests are refused instead of queued


class DeviceSlot(Generic[RunnerT]):
    """`deaths` counts workers lost since the last batch that went well; `cause` is of the last of them."""

    def __init__(self, device: str, build: Callable[[], RunnerT], limit: BatchLimit) -> None:
        self.device = device
        self.build = build
        self.limit = limit
        self.worker: Worker[RunnerT] | None = None
        self.deaths = 0  # since the last batch that went well
        self.cause: str | None = None
        self.restart_at = 0.0
        self.was_ready = False

    @property
    def ready(self) -> bool:
        return self.worker is not None and self.worker.ready.is_set()

    @property
    def failed(self) -> bool:
        return not self.ready and self.deaths >= GIVE_UP

    @property
    def state(self) -> str:
        if self.ready:
            return "ready"
        if self.cause is None:
            return "starting"
        return f"lost {self.deaths} times in a row, last by {self.cause}"
