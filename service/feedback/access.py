"""What surfaces ask of the feedback store: each call runs in a thread of the store's own and is given some seconds."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from service.errors import FeedbackUnavailable, FormNotAvailable, PictureGone, PictureNotKept, VerdictNotFound
from service.feedback.counts import Statistics, Summary
from service.feedback.rows import Changes, Position, Review, Said, VerdictFilter, VerdictRow
from service.feedback.shared_results import SharedResults
from service.feedback.store import FeedbackStore
from service.inspection.map_pictures import MapPictures
from service.logs import event
from service.metrics import Metrics

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.feedback.database import Database
    from service.feedback.reviews import Judged

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 3
MOST_MAPS = 64  # a map is some tens of kilobytes
ANSWER_S = 15.0  # within which a call must be answered
RETRY_AFTER_S = 5.0
ExportForm = Literal["mvtec", "parquet"]
OnReview = Callable[[Mapping[str, Any]], None]


class FeedbackAccess:
    """Asks the store. Every call raises FeedbackUnavailable where it cannot be used at present.

    `maps` are the newest that somebody looked at, by verdict. `on_review` is told of each judgement and each
    withdrawal, with the members of its audit record; `on_judged` of the product of a part that was judged.
    """

    def __init__(self, store: FeedbackStore, metrics: Metrics, on_review: OnReview = lambda _: None) -> None:
        self.store = store
        self._metrics = metrics
        self._on_review = on_review
        self._threads = ThreadPoolExecutor(THREADS, "mkd-feedback-ask")
        self.maps: SharedResults[MapPictures] = SharedResults(MOST_MAPS)
        self.on_judged: Callable[[str], None] = lambda _: None

    def close(self) -> None:
        """Let go of the threads; what runs in them is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def verdicts(self, wanted: VerdictFilter, before: int | None, limit: int) -> list[VerdictRow]:
        """Newest first, those with an id under `before`."""
        from service.feedback.verdicts import page

        return await self.read(page, wanted, before, limit)

    async def verdict(self, verdict_id: int) -> VerdictRow:
        """Raises VerdictNotFound."""
        from service.feedback.verdicts import one

        found = await self.read(one, verdict_id)
        if found is None:
            raise VerdictNotFound(f"there is no verdict {verdict_id}, or none any more")
        return found

    async def queue(self, wanted: VerdictFilter, limit: int) -> tuple[list[VerdictRow], int]:
        """What waits for review, oldest first, and how many wait in all."""
        from service.feedback.verdicts import queue

        return await self.read(queue, wanted, limit)

    async def picture(self, verdict_id: int) -> tuple[bytes, VerdictRow]:
        """The picture as it was received. Raises VerdictNotFound, PictureNotKept, PictureGone."""
        row = await self.verdict(verdict_id)
        if row.picture_file is None or row.picture_bytes is None:
            if row.picture_gone_at is not None:
                raise PictureGone(f"the picture of verdict {verdict_id} was kept and has been removed to make room")
            raise PictureNotKept(f"the picture of verdict {verdict_id} was not kept; the setting is feedback_pictures")
        try:
            return await self.in_thread(self.store.pictures.read, row.picture_file, row.picture_bytes), row
        except FileNotFoundError:
            raise PictureGone(f"the picture of verdict {verdict_id} is not in its folder any more") from None
        except OSError as error:
            raise FeedbackUnavailable(f"the picture cannot be read: {error.strerror}") from None

    async def judge(self, verdict_id: int, said: Said, by: str) -> Review:
        """Note what somebody says of a part. Raises what `reviews.judge` raises."""
        from service.feedback.reviews import judge

        judged = await self.write(judge, verdict_id, said, by, time.time())
        self._metrics.counter("mkd_reviews_total", label=judged.review.label).inc()
        self._tell("judged", judged, by)
        self.on_judged(judged.verdict.product)
        return judged.review

    async def withdraw(self, review_id: int, by: str, *, may_all: bool) -> Review:
        """Take a review back. Raises what `reviews.withdraw` raises."""
        from service.feedback.reviews import withdraw

        judged = await self.write(withdraw, review_id, by, may_all=may_all, at=time.time())
        self._metrics.counter("mkd_reviews_total", label="withdrawn").inc()
        self._tell("withdrawn", judged, by)
        return judged.review

    async def statistics(self, wanted: VerdictFilter, since: float, until: float, buckets: int) -> Statistics:
        """Decisions over time and p-values of verdicts from `since` up to `until`."""
        from service.feedback.statistics import statistics

        return await self.read(statistics, wanted, since, until, buckets)

    async def summary(self, wanted: VerdictFilter) -> Summary:
        """What people's judgements say of the decisions."""
        from service.feedback.summary import summary

        return await self.read(summary, wanted)

    def export(self, form: ExportForm, wanted: VerdictFilter) -> Iterator[bytes]:
        """The pieces of an export, each of which blocks. Raises FormNotAvailable before the first."""
        from service.feedback.export import mvtec, parquet

        database = self._database()
        if form == "mvtec":
            return mvtec(database, self.store.pictures, wanted)
        if importlib.util.find_spec("pyarrow") is None:
            raise FormNotAvailable("form parquet needs pyarrow, which is not installed: pip install 'mkdserve[bulk]'")
        return parquet(database, wanted)

    async def now(self) -> Position:
        """The end of all that is stored."""
        from service.feedback.changes import now

        return await self.read(now)

    async def since(self, position: Position, most: int) -> Changes:
        """What is new since a position."""
        from service.feedback.changes import since

        return await self.read(since, position, most)

    async def missed(self, wanted: VerdictFilter, last_verdict: int, upto: Position, most: int) -> Changes:
        """What a page has missed that has seen verdicts up to `last_verdict`."""
        from service.feedback.changes import missed

        return await self.read(missed, wanted, last_verdict, upto, most)

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `query(connection, ...)` in a transaction that sees one state of all tables."""
        transaction = self._database().reading
        return await self.in_thread(_within, transaction, lambda connection: query(connection, *args, **kwargs))

    async def write(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same in turn with all other writers; what raises changes nothing."""
        transaction = self._database().writing
        return await self.in_thread(_within, transaction, lambda connection: change(connection, *args, **kwargs))

    def _database(self) -> Database:
        database = self.store.database
        if database is None:
            raise _unavailable(self.store.trouble or "it is being opened")
        return database

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work` in one of the store's threads."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await call
        except TimeoutError:
            raise _unavailable(f"it has not answered within {ANSWER_S:g} s") from None

    def _tell(self, action: str, judged: Judged, by: str) -> None:
        members = audit_members(action, judged, by)
        event("review", logging.INFO, **members)
        try:
            self._on_review(members)
        except Exception:  # the judgement stands
            self._metrics.counter("mkd_observer_failures_total", observer="audit").inc()
            logging.getLogger("mkdserve").exception("a review could not be put into the audit trail")


def _within(transaction: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
    from service.feedback.database import DatabaseFaultError

    try:
        with transaction() as connection:
            return work(connection)
    except DatabaseFaultError as error:
        raise _unavailable(str(error)) from error


def _unavailable(reason: str) -> FeedbackUnavailable:
    return FeedbackUnavailable(f"the feedback store cannot be used: {reason}", retry_after=RETRY_AFTER_S)


def audit_members(action: str, judged: Judged, by: str) -> dict[str, object]:
    """What the audit record of a judgement or withdrawal says; what a verdict's record has, under the same name."""
    review, verdict = judged.review, judged.verdict
    context = {name: text for name in ("line", "station", "part_id") if (text := getattr(verdict, name)) is not None}
    members = {
        "action": action,
        "caller": by,
        "review": review.id,
        "verdict": verdict.id,
        "request_id": verdict.request_id,
        "index": verdict.image_index,
        "context": context,
        "product": verdict.product,
        "artifact": {"version": verdict.version, "method": verdict.method, "hash": verdict.hash},
        "score": verdict.score,
        "decision": verdict.decision,
        "label": review.label,
        "class": review.defect_class,
        "note": review.note,
        "by": review.by,
        "judged": verdict.judged,
    }
    return {name: value for name, value in members.items() if value not in (None, {})}
