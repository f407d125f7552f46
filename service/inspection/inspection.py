"""In: the images of one request, a product version and what is asked for. Out: one entry per image, in order.

Every image goes its own way through decode, judge and encode, so the device works on the first while the last is still
being decoded, and what is wrong with one image stays with that image. A verdict exists only where a finite score came
back: everything else is an error, never OK.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration.conformal import Thresholds
from models.imaging.decode import ERROR_CODES, ImageError
from models.imaging.preprocess import Prepared
from service.engine.engine import Outcome
from service.errors import InferenceFailed, ServiceError
from service.inspection.deadlines import in_time
from service.inspection.decode import Decoded, decode
from service.inspection.encode import Pictures, Wanted, pictures
from service.inspection.observers import Seen
from service.products.product import ProductVersion
from service.rest.bodies.received import ReceivedImage
from service.rest.request_record import RequestRecord
from service.rest.schemas import (
    ArtifactRef,
    EntryError,
    EntryErrorBody,
    ImageSize,
    LocalizedVerdict,
    Timing,
    Verdict,
)
from service.run.state import Service

Entry = Verdict | LocalizedVerdict | EntryError


@dataclass(frozen=True)
class Order:
    """What the request wants of each of its images. `deadline` is a time of `time.monotonic()`."""

    version: ProductVersion
    thresholds: Thresholds
    deadline: float | None
    pictures: Wanted | None  # None for /score


@dataclass(frozen=True)
class Judged:
    """A verdict and what the network took for it, (3, S, S) float32."""

    verdict: Verdict
    image: Prepared


class Inspection:
    """One request's images on their way to verdicts."""

    def __init__(self, service: Service, record: RequestRecord, order: Order) -> None:
        self._service = service
        self._record = record
        self._order = order

    async def run(self, images: Sequence[ReceivedImage]) -> list[Entry]:
        """One entry per image, in order.

        Raises the service's error where it is the reason that no image at all was judged: then the whole request has
        failed, and its status should say so. Images that cannot be read are no such reason.
        """
        if len(images) == 1:
            results = [await self._attempt(0, images[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._attempt(index, image)) for index, image in enumerate(images)]
            results = [task.result() for task in tasks]
        entries = [self._entry(index, images[index], result) for index, result in enumerate(results)]
        failures = [result for result in results if isinstance(result, ServiceError)]
        if failures and not any(isinstance(result, Judged) for result in results):
            raise failures[0]
        return entries

    async def _attempt(self, index: int, received: ReceivedImage) -> Judged | ImageError | ServiceError:
        try:
            return await self._judge(index, received)
        except (ImageError, ServiceError) as error:
            return error
        except Exception:
            logging.getLogger("mkdserve").exception("fault, request %s, image %d", self._record.request_id, index)
            return InferenceFailed("the service has a fault; it is logged under this request id")

    async def _judge(self, index: int, received: ReceivedImage) -> Judged:
        version, wanted = self._order.version, self._order.pictures
        limits, threads = self._service.image_limits, self._service.threads
        decoded = await in_time(threads.run(decode, received, limits, version.preprocessing), self._order.deadline)
        self._stage("decode", decoded.seconds)
        outcome = await self._ask_engine(decoded)
        started = time.perf_counter()
        if wanted is None:
            return Judged(self._verdict(index, received, decoded, outcome, None, 0.0), decoded.image)
        if outcome.map is None or not np.isfinite(outcome.map).all():
            raise InferenceFailed("the map is not made of numbers; the image has not been judged")
        made = await in_time(
            threads.run(pictures, outcome.map, decoded, received, version, limits, wanted), self._order.deadline
        )
        encode_s = time.perf_counter() - started
        self._stage("encode", encode_s)
        return Judged(self._verdict(index, received, decoded, outcome, made, encode_s), decoded.image)

    async def _ask_engine(self, decoded: Decoded) -> Outcome:
        row = self._order.version.row(decoded.image, wants_map=self._order.pictures is not None)
        (outcome,) = await self._service.parts.engine.judge([row], deadline=self._order.deadline)
        if isinstance(outcome, ServiceError):
            raise outcome
        if not np.isfinite(outcome.score):
            raise InferenceFailed("the score is not a number; the image has not been judged")
        self._record.slowest("queue", outcome.queue_s * 1000)
        self._record.slowest("device", outcome.device_s * 1000)
        return outcome

    def _stage(self, stage: str, seconds: float) -> None:
        self._record.slowest(stage, seconds * 1000)
        self._service.parts.metrics.stage(stage, seconds)

    def _verdict(
        self,
        index: int,
        received: ReceivedImage,
        decoded: Decoded,
        outcome: Outcome,
        made: Pictures | None,
        encode_s: float,
    ) -> Verdict:
        version, thresholds = self._order.version, self._order.thresholds
        review = thresholds.review
        members = {
            "index": index,
            "filename": received.name,
            "product": version.name,
            "artifact": ArtifactRef(version=version.version, method=version.method, hash=version.hash),
            "score": outcome.score,
            "p_value": version.calibration.p_value(outcome.score),
            "threshold": thresholds.ng.value,
            "threshold_origin": thresholds.ng.origin,
            "review_threshold": review.value if review is not None else None,
            "decision": thresholds.decide(outcome.score),
            "image": ImageSize(width=decoded.width, height=decoded.height),
            "timing": Timing(
                decode_ms=milliseconds(decoded.seconds),
                queue_ms=milliseconds(outcome.queue_s),
                device_ms=milliseconds(outcome.device_s),
                encode_ms=milliseconds(encode_s),
                total_ms=milliseconds(time.monotonic() - self._record.started),
            ),
        }
        if made is None:
            return Verdict.model_validate(members)
        return LocalizedVerdict.model_validate({**members, **vars(made)})

    def _entry(self, index: int, received: ReceivedImage, result: Judged | ImageError | ServiceError) -> Entry:
        metrics = self._service.parts.metrics
        if isinstance(result, Judged):
            verdict = result.verdict
            metrics.counter("mkd_images_total", outcome="ok").inc()
            metrics.decided(verdict.product, verdict.decision, verdict.score, verdict.threshold)
            self._record.decisions[verdict.decision] += 1
            seen = Seen(verdict, self._order.version, result.image, received.data, self._record, time.time())
            self._service.audience.show(seen)
            return verdict
        metrics.counter("mkd_images_total", outcome=result.code).inc()
        self._record.entry_errors[result.code] += 1
        title = ERROR_CODES[result.code] if isinstance(result, ImageError) else result.title
        body = EntryErrorBody(code=result.code, title=title, detail=result.detail)
        return EntryError(index=index, filename=received.name, error=body)


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds with two places."""
    return round(seconds * 1000, 2)
