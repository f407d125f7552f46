"""Every metric of the gateway, in one table.

Names start with `mkd_line_`, durations are seconds, counters end in `_total`. No label carries an id of a trigger or a
part. docs/line.md lists the table; a test compares the two.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from service.gateway.codes import Code
from service.gateway.events import EVENTS, Answer, Decision

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LineSpec(NamedTuple):
    """One row of the table."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


LINE_METRICS: tuple[LineSpec, ...] = (
    LineSpec("mkd_line_answers_total", "counter", ("station", "decision"), "Triggers answered, by decision."),
    LineSpec(
        "mkd_line_rejects_total", "counter", ("station", "code"), "Parts rejected without a verdict, by result code."
    ),
    LineSpec(
        "mkd_line_events_total",
        "counter",
        ("station", "event"),
        "What changes no answer: double_trigger, late_picture, late_verdict, stray_acknowledgement, unacknowledged, "
        "clock_back, link_lost, link_found.",
    ),
    LineSpec("mkd_line_withdrawn_total", "counter", ("station",), "Answers withdrawn: late at the PLC, or link lost."),
    LineSpec(
        "mkd_line_cycle_seconds",
        "histogram",
        ("station", "part"),
        "Time of a cycle by part: picture (trigger to picture), verdict (picture to verdict), answer (decision to the "
        "PLC), total (trigger to decision).",
    ),
    LineSpec("mkd_line_ready", "gauge", ("station",), "1 while a trigger would start a cycle."),
    LineSpec("mkd_line_connected", "gauge", ("station", "peer"), "1 while plc, camera or service is reached."),
    LineSpec(
        "mkd_line_reconnections_total",
        "counter",
        ("station", "peer"),
        "Times that a lost plc, camera or service came back.",
    ),
    LineSpec("mkd_line_spool_messages", "gauge", ("output",), "Messages on the disk that wait to be delivered."),
    LineSpec(
        "mkd_line_messages_total",
        "counter",
        ("output", "outcome"),
        "Messages of an output: delivered, failed (tried again), refused (given up) or lost (the spool is full).",
    ),
    LineSpec("mkd_line_files_total", "counter", ("station", "folder"), "Files of a hot folder by where they went."),
)
PEERS = ("plc", "camera", "service")


class LineMetrics:
    """All metrics of `LINE_METRICS` in one registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for spec in LINE_METRICS:
            if spec.kind == "counter":
                self._counters[spec.name] = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
            elif spec.kind == "gauge":
                self._gauges[spec.name] = Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
            else:
                self._histograms[spec.name] = Histogram(
                    spec.name, spec.help, spec.labels, buckets=SECONDS, registry=self.registry
                )

    def station(self, name: str) -> None:
        """A station's series are there from the start: an alert cannot see the first event of a new series."""
        for decision in Decision:
            self.count("mkd_line_answers_total", 0, station=name, decision=decision.value)
        for code in list(Code)[1:]:
            self.count("mkd_line_rejects_total", 0, station=name, code=code.name.lower())
        for event in EVENTS:
            self.count("mkd_line_events_total", 0, station=name, event=event)
        self.count("mkd_line_withdrawn_total", 0, station=name)

    def count(self, counter: str, by: float = 1, **labels: str) -> None:
        self._counters[counter].labels(**labels).inc(by)

    def set(self, gauge: str, value: float, **labels: str) -> None:
        self._gauges[gauge].labels(**labels).set(value)

    def seconds(self, station: str, part: str, seconds: float) -> None:
        self._histograms["mkd_line_cycle_seconds"].labels(station=station, part=part).observe(seconds)

    def answered(self, station: str, answer: Answer) -> None:
        self.count("mkd_line_answers_total", station=station, decision=answer.decision.value)
        if answer.code is not Code.JUDGED:
            self.count("mkd_line_rejects_total", station=station, code=answer.code.name.lower())

    def value(self, sample: str, **labels: str) -> float:
        """The present value of one sample, 0 where there is none."""
        found = self.registry.get_sample_value(sample, labels)
        return 0.0 if found is None else found

    def render(self) -> bytes:
        """The page `/metrics`."""
        return generate_latest(self.registry)
