"""The observer that watches every product for drift, sets its gauges and reports the state of each watch.

What a part costs here (a fraction of a millisecond) is spent in a thread of its own, at most RATE times a second; parts
beyond that are passed over and counted. Which ones depends on the time alone, so what is seen is still a fair sample.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from models.image_judge import PreparedImage
from models.imaging.input_statistics import measure
from service.drift.monitor import SCORE, DriftRules, ProductDrift, WatchState
from service.inspection.observers import Picture, VerdictObserver
from service.inspection.verdict import Verdict
from service.logs import event
from service.metrics import Metrics
from service.products.product import ProductVersion

RATE = 200.0  # parts a second
BURST = 64  # parts that may wait, from large requests
WAITING_BYTES = 64 << 20  # of the network's inputs among them; less than BURST where these are large
MOST_PRODUCTS = 1000  # watches kept; the one that has seen no part for longest goes first
LATE_S = 60.0  # for so long after a swap, parts of the version before are passed over


@dataclass(frozen=True)
class _Part:
    version: ProductVersion
    image: PreparedImage
    score: float
    at: float


@dataclass
class _Watch:
    version: str
    hash: str
    drift: ProductDrift
    started: float
    hash_before: str | None
    skipped: int = 0
    drifted: bool = field(default=False)


@dataclass(frozen=True)
class DriftReport:
    """A product's watch as it stands: `started` in seconds since 1970, `skipped` parts that were passed over."""

    version: str
    hash: str
    started: float
    parts: int
    skipped: int
    drifted: bool
    input_recorded: bool
    watches: tuple[WatchState, ...]


class DriftObserver(VerdictObserver):
    """Watches every product that gets verdicts; a new version begins anew."""

    name = "drift"

    def __init__(
        self, rules: DriftRules, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic, rate: float = RATE
    ) -> None:
        self.rules = rules
        self._metrics = metrics
        self._clock = clock
        self._rate = rate
        self._allowed, self._looked = float(BURST), clock()
        self._waiting: queue.Queue[_Part | None] = queue.Queue()
        self._watches: OrderedDict[str, _Watch] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="mkd-drift", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        """Leave the part for the thread, or pass over it where there are too many."""
        now, size = self._clock(), sum(view.nbytes for view in picture.prepared.views)
        self._allowed = min(float(BURST), self._allowed + (now - self._looked) * self._rate)
        self._looked = now
        if self._allowed < 1 or self._waiting.qsize() >= max(1, min(BURST, WAITING_BYTES // size)):
            if (watch := self._watches.get(verdict.product)) is not None:
                watch.skipped += 1
            return
        self._allowed -= 1
        # The received bytes are let go of: they may be large.
        self._waiting.put_nowait(_Part(picture.version, picture.prepared, verdict.score, picture.at))

    def stop(self) -> None:
        """Finish what waits."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def report(self, product: str) -> DriftReport | None:
        """The state of a product's watch; None where it has seen no part."""
        with self._lock:
            watch = self._watches.get(product)
            if watch is None:
                return None
            drift = watch.drift
            return DriftReport(
                version=watch.version,
                hash=watch.hash,
                started=watch.started,
                parts=drift.parts,
                skipped=watch.skipped,
                drifted=drift.drifted,
                input_recorded=drift.input_recorded,
                watches=tuple(drift.states()),
            )

    def reset(self, product: str) -> None:
        """Begin anew with the next part; nothing happens where there is no watch."""
        with self._lock:
            watch = self._watches.pop(product, None)
            if watch is not None:
                for statistic in watch.drift.evidence():
                    self._evidence(product, statistic, 0.0)
                self._metrics.gauge("mkd_drift_alarm", product=product).set(0)
                self._metrics.gauge("mkd_drift_parts", product=product).set(0)

    def _work(self) -> None:
        """The gauges are set when nothing waits: parts come in batches, and one reading of them says it all."""
        changed: set[str] = set()
        while (part := self._waiting.get()) is not None:
            try:
                self._take(part)
                changed.add(part.version.name)
            except Exception as error:  # one part must not end the watch
                self._metrics.counter("mkd_observer_failures_total", observer=self.name).inc()
                event("drift watch failed on a part", logging.ERROR, error=f"{type(error).__name__}: {error}")
            if self._waiting.empty():
                self._tell(changed)
                changed.clear()
        self._tell(changed)

    def _take(self, part: _Part) -> None:
        measured = measure(part.image.whole, part.image.width, part.image.height)
        with self._lock:
            watch = self._watch_of(part)
            if watch is None:
                return
            watch.drift.on_verdict(part.score, measured, part.at)

    def _watch_of(self, part: _Part) -> _Watch | None:
        """The product's watch, begun anew where the version is another; None for a latecomer of the one before."""
        version = part.version
        watch = self._watches.get(version.name)
        if watch is not None and watch.hash != version.hash:
            if watch.hash_before == version.hash and part.at - watch.started < LATE_S:
                return None
            watch = self._begin(part, watch.hash)
        elif watch is None:
            watch = self._begin(part, None)
        self._watches.move_to_end(version.name)
        return watch

    def _begin(self, part: _Part, hash_before: str | None) -> _Watch:
        version = part.version
        calibration = None if version.scores_are_of_another_kind else version.calibration
        drift = ProductDrift(calibration, version.input_statistics, self.rules)
        watch = _Watch(version.version, version.hash, drift, part.at, hash_before)
        self._watches[version.name] = watch
        if len(self._watches) > MOST_PRODUCTS:
            self._watches.popitem(last=False)
        return watch

    def _tell(self, products: Iterable[str]) -> None:
        with self._lock:
            for product in products:
                if (watch := self._watches.get(product)) is not None:  # not reset meanwhile
                    self._tell_of(product, watch)

    def _tell_of(self, product: str, watch: _Watch) -> None:
        for statistic, evidence in watch.drift.evidence().items():
            self._evidence(product, statistic, evidence)
        self._metrics.gauge("mkd_drift_alarm", product=product).set(int(watch.drift.drifted))
        self._metrics.gauge("mkd_drift_parts", product=product).set(watch.drift.parts)
        if watch.drift.drifted != watch.drifted:
            watch.drifted = watch.drift.drifted
            names = [state.name for state in watch.drift.states() if state.drifted]
            level = logging.WARNING if watch.drifted else logging.INFO
            text = "drift" if watch.drifted else "drift is over"
            event(text, level, product=product, version=watch.version, watches=names, parts=watch.drift.parts)

    def _evidence(self, product: str, statistic: str, evidence: float) -> None:
        if statistic == SCORE:
            self._metrics.gauge("mkd_drift_evidence", product=product).set(evidence)
        else:
            self._metrics.gauge("mkd_drift_input_evidence", product=product, statistic=statistic).set(evidence)
