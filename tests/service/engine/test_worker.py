"""A worker thread over a scripted device: each kind of fault, and who is answered how."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from service.engine.batch_limit import BatchLimit
from service.engine.batcher import Batcher
from service.engine.latency_model import LatencyModel
from service.engine.observer import Observer
from service.engine.queued_image import QueuedImage
from service.engine.worker import FaultKind, Worker
from service.errors import InferenceFailed, NotReady, RequestCancelled
from service.metrics import Metrics


class Script:
    """A device that does to each batch what the test says; a verdict is its payload in capitals."""

    def __init__(self, do: Callable[[list[str]], Sequence[object] | None] = lambda _: None) -> None:
        self.do = do
        self.steps: list[list[str]] = []
        self.relieved = 0

    def step(self, payloads: Sequence[str]) -> Sequence[object]:
        self.steps.append(list(payloads))
        answer = self.do(list(payloads))
        return [payload.upper() for payload in payloads] if answer is None else answer

    def complaint(self, payload: str, verdict: object) -> str | None:
        return None if isinstance(verdict, str) and verdict.lower() == payload else f"{verdict!r} for {payload!r}"

    def diagnose(self, error: Exception) -> FaultKind:
        if isinstance(error, MemoryError):
            return "memory"
        return "lost" if isinstance(error, ConnectionError) else "images"

    def relieve(self) -> None:
        self.relieved += 1

    def memory_bytes(self) -> int:
        return 0


class Shop:
    """One worker with all that it needs; images are submitted before it starts, so that they share a batch."""

    def __init__(self, script: Script, images: int = 8) -> None:
        self.script = script
        self.metrics = Metrics()
        observer = Observer(self.metrics)
        latency = LatencyModel()
        self.batcher = Batcher(
            max_queued=100, wait_s=0, latency=latency, dropped=observer.dropped, clock=time.monotonic
        )
        self.limit = BatchLimit(images, 10_000, recover_s=1000, clock=time.monotonic)
        self.worker: Worker[Script] = Worker(
            "cpu",
            lambda: script,
            lambda runner, device: None,
            self.batcher,
            self.limit,
            observer,
            measured=latency.observe,
            changed=lambda: None,
            clock=time.monotonic,
        )

    def serve(self, *payloads: str) -> list[QueuedImage]:
        """Submit, let the worker run until the queue is empty or it dies, and return the images."""
        images = [QueuedImage(payload=payload, pixels=10) for payload in payloads]
        self.batcher.submit(images)
        self.run()
        return images

    def run(self) -> None:
        self.batcher.close()
        self.worker.start()
        self.worker.join(20)
        assert not self.worker.alive


def verdicts(images: list[QueuedImage]) -> list[object]:
    return [image.verdict if image.error is None else type(image.error) for image in images]


def failing_on(bad: str, error: Exception) -> Callable[[list[str]], None]:
    def do(payloads: list[str]) -> None:
        if bad in payloads:
            raise error

    return do


def test_each_job_gets_its_own_verdict_and_the_size_of_its_batch() -> None:
    images = Shop(Script()).serve("a", "b", "c")
    assert verdicts(images) == ["A", "B", "C"]
    assert [image.batch_size for image in images] == [3, 3, 3]


def test_one_bad_image_fails_alone_and_its_neighbours_are_judged() -> None:
    shop = Shop(Script(failing_on("bad", ValueError("poison"))))
    images = shop.serve("a", "b", "c", "bad", "d", "e", "f")
    assert verdicts(images) == ["A", "B", "C", InferenceFailed, "D", "E", "F"]
    assert "poison" in str(images[3].error)


def test_the_culprit_is_found_by_halving_and_not_one_by_one() -> None:
    shop = Shop(Script(failing_on("7", ValueError("poison"))))
    shop.serve(*"01234567")
    assert len(shop.script.steps) == 7
    assert shop.metrics.value("mkd_batches_total", reason="retry") == 3


def test_too_few_verdicts_are_noticed_and_nobody_gets_anothers() -> None:
    shop = Shop(Script(lambda payloads: payloads[:-1] if len(payloads) > 1 else None))
    assert verdicts(shop.serve("a", "b", "c")) == ["A", "B", "C"]


def test_a_verdict_that_does_not_fit_its_image_fails_that_image_only() -> None:
    swapped = Script(lambda payloads: ["X" if payload == "b" else payload.upper() for payload in payloads])
    images = Shop(swapped).serve("a", "b", "c")
    assert verdicts(images) == ["A", InferenceFailed, "C"]


def test_out_of_memory_halves_the_limit_and_retries() -> None:
    def do(payloads: list[str]) -> None:
        if len(payloads) > 2:
            raise MemoryError

    shop = Shop(Script(do))
    assert verdicts(shop.serve(*"abcdefgh")) == list("ABCDEFGH")
    assert shop.limit.images == 2
    assert [len(step) for step in shop.script.steps] == [8, 4, 2, 2, 2, 2]
    assert shop.script.relieved == 2
    assert shop.metrics.value("mkd_out_of_memory_splits_total", device="cpu") == 2
    assert shop.metrics.value("mkd_batch_limit_images", device="cpu") == 2


def test_an_image_too_large_for_the_memory_by_itself_is_answered_and_does_not_lower_the_limit_below_one() -> None:
    shop = Shop(Script(failing_on("huge", MemoryError())))
    images = shop.serve("huge")
    assert verdicts(images) == [InferenceFailed]
    assert "memory" in str(images[0].error)
    assert shop.limit.images == 8


def test_jobs_cancelled_between_retries_are_not_retried() -> None:
    images = [QueuedImage(payload=name, pixels=10) for name in ("a", "b")]

    def do(payloads: list[str]) -> None:
        if len(payloads) > 1:
            images[1].cancel()
            raise ValueError("first")

    shop = Shop(Script(do))
    shop.batcher.submit(images)
    shop.run()
    assert shop.script.steps == [["a", "b"], ["a"]]
    assert verdicts(images) == ["A", RequestCancelled]


def test_a_lost_device_ends_the_worker_and_leaves_its_jobs_in_hand() -> None:
    shop = Shop(Script(failing_on("a", ConnectionError("device gone"))))
    images = shop.serve("a", "b")
    assert shop.worker.in_hand == images
    assert not any(image.settled for image in images)
    assert "device gone" in str(shop.worker.cause)


def test_a_failing_warm_up_ends_the_worker_before_it_serves() -> None:
    shop = Shop(Script())
    images = [QueuedImage(payload="a")]
    shop.batcher.submit(images)

    def cold(runner: Script, device: str) -> None:
        raise RuntimeError(f"{device} does not start")

    shop.worker._warm_up = cold
    shop.run()
    assert shop.worker.cause == "RuntimeError: cpu does not start"
    assert not images[0].settled


@contextmanager
def running(shop: Shop) -> Iterator[None]:
    shop.worker.start()
    try:
        yield
    finally:
        shop.worker.retire()
        shop.worker.join(20)


def test_a_chore_runs_on_the_workers_thread_and_its_error_comes_back() -> None:
    shop = Shop(Script())
    threads: list[str] = []

    def fail(_: object) -> None:
        raise ValueError("golden scores differ")

    with running(shop):
        shop.batcher.add_task("cpu", lambda _: threads.append(threading.current_thread().name)).result(20)
        with pytest.raises(ValueError, match="golden scores differ"):
            shop.batcher.add_task("cpu", fail).result(20)
        shop.batcher.add_task("cpu", lambda _: None).result(20)
    assert threads == ["worker-cpu"]


def test_a_chore_that_kills_the_worker_is_answered_too() -> None:
    shop = Shop(Script())

    def kill(_: object) -> None:
        raise SystemExit

    with running(shop), pytest.raises(NotReady):
        shop.batcher.add_task("cpu", kill).result(20)


def test_the_batch_limit_recovers_after_quiet_time_and_ever_later_after_relapses() -> None:
    now = [0.0]
    limit = BatchLimit(8, 800, recover_s=10, clock=lambda: now[0])
    limit.halve(8, 800)
    assert (limit.images, limit.pixels) == (4, 400)
    now[0] = 9
    assert not limit.succeeded()
    now[0] = 10
    assert limit.succeeded()
    assert (limit.images, limit.pixels) == (8, 800)
    limit.halve(8, 800)
    limit.halve(4, 400)
    now[0] = 25
    assert not limit.succeeded()
    now[0] = 30
    assert limit.succeeded()
    assert limit.images == 4
