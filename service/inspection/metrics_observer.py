"""The observer that counts: images by outcome, decisions, scores against thresholds, times of decoding and encoding."""

from __future__ import annotations

from service.inspection.context import InspectionContext
from service.inspection.observers import Picture, VerdictObserver
from service.inspection.verdict import ImageFailure, StageTimes, Verdict
from service.metrics import Metrics


class MetricsObserver(VerdictObserver):
    """Writes the metrics of the core; queue and device times are the engine's to measure."""

    name = "metrics"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        self._metrics.counter("mkd_images_total", outcome="ok").inc()
        self._metrics.decided(verdict.product, verdict.decision, verdict.score, verdict.thresholds.ng.value)
        self._stages(verdict.times)

    def on_failure(self, failure: ImageFailure, context: InspectionContext) -> None:
        self._metrics.counter("mkd_images_total", outcome=failure.error.code).inc()
        self._stages(failure.times)

    def _stages(self, times: StageTimes) -> None:
        """A stage that took no time at all is one that the image did not come to."""
        for stage, seconds in (("decode", times.decode), ("encode", times.encode)):
            if seconds:
                self._metrics.stage(stage, seconds)
