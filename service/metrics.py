"""Events of the service in, Prometheus text out: every metric there is, in one table.

Names start with `mkd_`; durations are seconds, sizes are bytes, counters end in `_total`, constants are gauges named
`_info` whose value is 1. No label carries an id of a request, a line or a part. `METRICS` is the documentation: a test
compares it with what `/metrics` prints. Several processes add up when `PROMETHEUS_MULTIPROC_DIR` is set before this
module is imported.
"""

from __future__ import annotations

import os
import warnings
from typing import Literal, NamedTuple, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

Kind = Literal["counter", "gauge", "histogram", "info"]
Metric = Counter | Gauge | Histogram
M = TypeVar("M", Counter, Gauge, Histogram)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
DECISIONS = ("OK", "REVIEW", "NG")
RATIOS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0, 10.0)


class Spec(NamedTuple):
    """One row of the table.

    `values`, for a counter with one label: what is known that it will be. These series are there from the start, since
    Prometheus cannot see the first event of a series that comes with it. `across` says what several processes make of a
    gauge: the sum or the largest of those that live, or what one of them has set last.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    across: Literal["livesum", "livemostrecent", "livemax"] = "livesum"


METRICS: tuple[Spec, ...] = (
    Spec(
        "mkd_requests_total",
        "counter",
        ("route", "outcome"),
        "Requests answered; outcome is ok or the error's code. Route unparsed: what could not be parsed.",
    ),
    Spec("mkd_request_seconds", "histogram", ("route",), "Time from first byte to the whole answer.", SECONDS),
    Spec(
        "mkd_images_total",
        "counter",
        ("outcome",),
        "Images answered; outcome is ok or the error's code.",
        values=("ok",),
    ),
    Spec("mkd_stage_seconds", "histogram", ("stage",), "Time in one stage: decode, queue, device or encode.", SECONDS),
    Spec("mkd_batch_images", "histogram", (), "Images that shared one device step.", IMAGES),
    Spec(
        "mkd_batches_total",
        "counter",
        ("reason",),
        "Device steps by why the batch was released: idle (the device was free), full (count or pixels), waited "
        "(batch_wait_ms was over), deadline (more images would have made one late), drain (closing), alone (an image "
        "retried by itself after its worker died), retry (a part of a batch that failed).",
    ),
    Spec("mkd_queue_images", "gauge", (), "Images that wait for a device."),
    Spec("mkd_in_flight_images", "gauge", (), "Images admitted and not yet answered."),
    Spec(
        "mkd_in_flight_bytes",
        "gauge",
        (),
        "Bytes of bodies that have arrived, and of answers that have not left; 64 KiB at least for each request.",
    ),
    Spec("mkd_in_flight_limit_images", "gauge", (), "Most images that are admitted at a time (max_waiting_images)."),
    Spec(
        "mkd_rejections_total",
        "counter",
        ("reason",),
        "Images refused by admission: images or bytes (too many in flight), caller (too many bytes of one key or "
        "address), wait (longer than the deadline or max_wait_s), queue (the batcher is full), not_ready, "
        "shutting_down.",
        values=("images", "bytes", "caller", "wait", "queue", "not_ready", "shutting_down"),
    ),
    Spec(
        "mkd_answers_dropped_total",
        "counter",
        (),
        "Connections ended with an answer that the client had not read within send_timeout_s.",
    ),
    Spec(
        "mkd_decode_overruns_total",
        "counter",
        (),
        "Images that took more than decode_budget_s to decode or to draw; their thread was left and replaced.",
    ),
    Spec(
        "mkd_cancellations_total",
        "counter",
        ("stage",),
        "Images whose client hung up: queue (dropped before the forward pass) or device (already in it).",
        values=("queue", "device"),
    ),
    Spec(
        "mkd_expiries_total",
        "counter",
        ("stage",),
        "Images answered with deadline_exceeded: queue (expired there), hopeless (dropped before the forward pass, "
        "since it would have ended too late) or device (it ended too late).",
        values=("queue", "hopeless", "device"),
    ),
    Spec("mkd_decisions_total", "counter", ("product", "decision"), "Verdicts: OK, REVIEW or NG."),
    Spec("mkd_score_to_threshold_ratio", "histogram", ("product",), "Score divided by the NG threshold.", RATIOS),
    Spec(
        "mkd_observer_failures_total",
        "counter",
        ("observer",),
        "Times that an observer of verdicts (metrics, audit, drift, feedback) raised; the verdict was given all the "
        "same.",
    ),
    Spec(
        "mkd_drift_evidence",
        "gauge",
        ("product",),
        "Evidence that scores have left the calibration, log10; the alarm is at log10 of drift_alarm_parts (5).",
        across="livemax",
    ),
    Spec(
        "mkd_drift_input_evidence",
        "gauge",
        ("product", "statistic"),
        "The same for one statistic of the input; none where the artifact has not recorded any.",
        across="livemax",
    ),
    Spec(
        "mkd_drift_alarm",
        "gauge",
        ("product",),
        "1 while the scores or the input of a product are taken to have drifted, else 0.",
        across="livemax",
    ),
    Spec("mkd_drift_parts", "gauge", ("product",), "Parts that the drift watch has seen since its start or reset."),
    Spec(
        "mkd_audit_records_total",
        "counter",
        ("outcome",),
        "Records of the audit trail: written, or dropped (no room in the queue, or none on the disk at the stop).",
        values=("written", "dropped"),
    ),
    Spec(
        "mkd_audit_failures_total",
        "counter",
        ("reason",),
        "What went wrong with the audit trail: disk_full or disk_error (a write failed and is tried again), queue (a "
        "record was dropped, the disk being too slow), image (an image was not kept), fault (of the service).",
        values=("disk_full", "disk_error", "queue", "image", "fault"),
    ),
    Spec("mkd_audit_queue", "gauge", (), "Records that wait to be written to the audit trail."),
    Spec(
        "mkd_audit_head",
        "gauge",
        ("chain",),
        "Number of the last record of the chain that was logged as its head.",
        across="livemax",
    ),
    Spec(
        "mkd_audit_clock_jump_seconds",
        "gauge",
        (),
        "How far the clock is from the audit chain's last records where that is more than 35 days, else 0.",
        across="livemostrecent",
    ),
    Spec(
        "mkd_feedback_verdicts_total",
        "counter",
        ("outcome",),
        "Verdicts for the feedback store: stored, or dropped (no room in the queue, or not stored by the stop).",
        values=("stored", "dropped"),
    ),
    Spec(
        "mkd_feedback_failures_total",
        "counter",
        ("reason",),
        "What went wrong with the feedback store: disk_full or database (storing failed and is tried again), queue (a "
        "verdict was dropped, the database being too slow), picture (a picture was not kept), fault (of the service).",
        values=("disk_full", "database", "queue", "picture", "fault"),
    ),
    Spec("mkd_feedback_queue", "gauge", (), "Verdicts that wait to be stored."),
    Spec("mkd_feedback_available", "gauge", (), "Processes whose feedback store can be written to."),
    Spec(
        "mkd_feedback_picture_bytes",
        "gauge",
        (),
        "Bytes of the pictures that the feedback store keeps, looked at once a minute.",
        across="livemax",
    ),
    Spec(
        "mkd_feedback_pictures_removed_total",
        "counter",
        ("reason",),
        "Kept pictures that were removed: age (feedback_keep_days) or bytes (feedback_keep_mb).",
        values=("age", "bytes"),
    ),
    Spec(
        "mkd_reviews_total",
        "counter",
        ("label",),
        "Judgements of parts by people: good, defect, unsure, and those that were withdrawn.",
        values=("good", "defect", "unsure", "withdrawn"),
    ),
    Spec(
        "mkd_reviews_waiting",
        "gauge",
        (),
        "Parts that wait for a person's judgement, looked at once a minute.",
        across="livemax",
    ),
    Spec("mkd_event_streams", "gauge", (), "Pages and programs that listen to /events."),
    Spec("mkd_heads_loaded", "gauge", (), "Heads in memory, all products and versions."),
    Spec("mkd_head_bytes", "gauge", (), "Memory of the heads that are loaded, one copy each."),
    Spec(
        "mkd_head_loads_total",
        "counter",
        ("outcome",),
        "Loads of an artifact: ok, refused (bad artifact) or failed (the device could not validate it).",
        values=("ok", "refused", "failed"),
    ),
    Spec("mkd_head_unloads_total", "counter", ("reason",), "Heads that left memory: budget, replaced, asked or gone."),
    Spec("mkd_swaps_total", "counter", ("product",), "Times another version became the active one."),
    Spec(
        "mkd_artifact_folder_unreadable",
        "gauge",
        (),
        "1 while the artifact folder is away, empty or unreadable; what is loaded is served on.",
        across="livemax",
    ),
    Spec(
        "mkd_device_memory_bytes", "gauge", ("device",), "Memory that this process holds on the device (CPU: resident)."
    ),
    Spec("mkd_device_busy_seconds_total", "counter", ("device",), "Time the device spent in steps."),
    Spec(
        "mkd_batch_limit_images",
        "gauge",
        ("device",),
        "Most images a batch may hold at present; halved by out-of-memory.",
    ),
    Spec(
        "mkd_out_of_memory_splits_total", "counter", ("device",), "Batches split because the device ran out of memory."
    ),
    Spec("mkd_step_failures_total", "counter", ("device",), "Device steps that raised or answered wrongly."),
    Spec("mkd_worker_deaths_total", "counter", ("device",), "Workers lost: thread ended, device lost, or stalled."),
    Spec("mkd_worker_ready", "gauge", ("device",), "1 while a warmed-up worker owns the device."),
    Spec("mkd_ready", "gauge", (), "Processes whose readiness check passes (1 or 0 in a single process)."),
    Spec(
        "mkd_start_timestamp_seconds",
        "gauge",
        (),
        "Unix time at which the process started; of several, the youngest.",
        across="livemostrecent",
    ),
    Spec("mkd_build_info", "info", ("version", "python", "torch"), "What runs."),
    Spec(
        "mkd_artifact_info", "info", ("product", "version", "method", "hash"), "1 for each product's active artifact."
    ),
    Spec(
        "mkd_calibration_timestamp_seconds",
        "gauge",
        ("product",),
        "Unix time at which the active artifact was made and calibrated; 0 once the product is served no more.",
        across="livemostrecent",
    ),
    Spec(
        "mkd_promised_ng_ratio",
        "gauge",
        ("product",),
        "Share of good parts that the active artifact's calibration promises to call NG at most.",
        across="livemostrecent",
    ),
)


class Metrics:
    """All metrics of `METRICS` in one registry of their own, with the few rules that are more than one call.

    Look one up by its table name: `counter("mkd_images_total", outcome="ok").inc()`. An unknown name or a wrong set of
    labels raises `KeyError` or `ValueError` at once. Every method may be called from any thread.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # their extra series would double the page for nothing
        self.registry = CollectorRegistry()
        self._several_processes = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._children: dict[tuple[object, ...], Metric] = {}
        for spec in METRICS:
            self._create(spec)

    def counter(self, name: str, **labels: str) -> Counter:
        return self._child(self._counters[name], labels) if labels else self._counters[name]

    def gauge(self, name: str, **labels: str) -> Gauge:
        return self._child(self._gauges[name], labels) if labels else self._gauges[name]

    def histogram(self, name: str, **labels: str) -> Histogram:
        return self._child(self._histograms[name], labels) if labels else self._histograms[name]

    def _child(self, metric: M, labels: dict[str, str]) -> M:
        """Kept once found: the library's look-up checks all names and values each time."""
        key = (metric, *labels.items())
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(**labels)
        return cast(M, child)

    def stage(self, stage: str, seconds: float) -> None:
        """One image spent `seconds` in `stage` (decode, queue, device or encode)."""
        self.histogram("mkd_stage_seconds", stage=stage).observe(seconds)

    def decided(self, product: str, decision: str, score: float, threshold: float) -> None:
        """One verdict. The ratio is left out where the threshold is not positive."""
        self.counter("mkd_decisions_total", product=product, decision=decision).inc()
        if threshold > 0:
            self.histogram("mkd_score_to_threshold_ratio", product=product).observe(score / threshold)

    def build(self, version: str, python: str, torch: str) -> None:
        self.gauge("mkd_build_info", version=version, python=python, torch=torch).set(1)

    def artifact_active(self, product: str, version: str, method: str, digest: str) -> None:
        self.gauge("mkd_artifact_info", product=product, version=version, method=method, hash=digest).set(1)
        for decision in DECISIONS:
            self.counter("mkd_decisions_total", product=product, decision=decision)

    def calibrated(self, product: str, at: float, promised_ng: float) -> None:
        """The active artifact's calibration: its Unix time, and the share of good parts that may become NG."""
        self.gauge("mkd_calibration_timestamp_seconds", product=product).set(at)
        self.gauge("mkd_promised_ng_ratio", product=product).set(promised_ng)

    def not_served(self, product: str) -> None:
        """Its calibration is of no concern any more."""
        for name in ("mkd_calibration_timestamp_seconds", "mkd_promised_ng_ratio"):
            self.gauge(name, product=product).set(0)
            if not self._several_processes:
                self._remove(name, product)

    def artifact_inactive(self, product: str, version: str, method: str, digest: str) -> None:
        """Takes the row away; with several processes, which cannot remove rows, it goes to 0."""
        labels = (product, version, method, digest)
        self._gauges["mkd_artifact_info"].labels(*labels).set(0)
        if not self._several_processes:
            self._remove("mkd_artifact_info", *labels)

    def _remove(self, name: str, *labels: str) -> None:
        self._gauges[name].remove(*labels)
        self._children.clear()  # it may hold what was removed; the rest is found again

    def value(self, sample: str, **labels: str) -> float:
        """The present value of one sample of this process, 0 where it has never been touched: for tests and stats."""
        found = self.registry.get_sample_value(sample, labels)
        return 0.0 if found is None else found

    def render(self) -> bytes:
        """The page `/metrics`, in the text format of `CONTENT_TYPE`; with several processes, their sum."""
        if not self._several_processes:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _create(self, spec: Spec) -> None:
        if spec.kind == "counter":
            self._counters[spec.name] = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
            for value in spec.values:
                self._counters[spec.name].labels(value)
        elif spec.kind == "histogram":
            self._histograms[spec.name] = Histogram(
                spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry
            )
        else:
            mode: Literal["max", "livesum", "livemostrecent", "livemax"] = "max" if spec.kind == "info" else spec.across
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._gauges[spec.name] = Gauge(
                    spec.name, spec.help, spec.labels, registry=self.registry, multiprocess_mode=mode
                )
