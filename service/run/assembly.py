"""Makes the parts of one server process as the settings ask, with the cores shared between network and decoder."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import torch

from models.sources.weights import cache_folder
from models.version import service_version
from service.audit.chain import ChainLimits
from service.audit.trail import AuditTrail
from service.audit.writer import WriterSettings
from service.drift.monitor import DriftRules
from service.drift.observer import DriftObserver
from service.engine.device_runner import device_runners
from service.engine.engine import Engine, EngineSettings
from service.feedback.observer import FeedbackObserver
from service.feedback.settings import FeedbackSettings
from service.inspection.observers import VerdictObserver
from service.metrics import Metrics
from service.products.registry import Registry
from service.run.cache import tell_of_cache
from service.run.components import Components
from service.run.settings import MIB, Settings, thread_counts


def assemble(settings: Settings, shared: Path | None = None) -> Components:
    """Everything that a server process owns, made and not started. Raises ServiceError where a device is not there.

    `shared` is the folder that all server processes of one parent have, None for a process alone.
    """
    devices = device_names(settings)
    threads = thread_counts(settings, on_cpu="cpu" in devices)
    torch.set_num_threads(threads.torch)
    metrics = Metrics()
    metrics.build(service_version(), platform.python_version(), torch.__version__)
    metrics.gauge("mkd_start_timestamp_seconds").set(time.time())
    metrics.gauge("mkd_in_flight_limit_images").set(settings.max_waiting_images)
    runners = device_runners(
        devices,
        engine=settings.backend,
        threads=threads.torch,
        half=settings.half,
        weights_file=settings.weights,
        kept=cache_folder() if settings.golden_check == "once" else None,
    )
    tell_of_cache()
    engine = Engine(runners, engine_settings(settings), metrics)
    registry = registry_of(settings, engine, metrics, shared)
    return Components(
        engine, registry, metrics, threads.decode, observers(settings, metrics), settings.feedback_place or shared
    )


def registry_of(settings: Settings, engine: Engine, metrics: Metrics, shared: Path | None) -> Registry:
    """The products of the artifact folder, proven by `engine`."""
    return Registry(
        settings.artifacts,
        validate=engine.validate,
        metrics=metrics,
        state_file=settings.pins_file,
        state_required=settings.state_file is not None,
        watch_s=settings.watch_s,
        grace_s=settings.removed_after_s,
        head_memory_bytes=settings.head_memory_mb << 20,
        shared=shared,
    )


def observers(settings: Settings, metrics: Metrics) -> tuple[VerdictObserver, ...]:
    """Who is told of every verdict, as the settings ask."""
    trail = audit_trail(settings, metrics, service_version())
    rules = DriftRules(settings.drift_alarm_parts, settings.drift_window, settings.drift_defect_share)
    watch = DriftObserver(rules, metrics) if settings.drift else None
    kept = feedback_settings(settings)
    feedback = FeedbackObserver(kept, metrics) if kept is not None else None
    return tuple(observer for observer in (trail, watch, feedback) if observer is not None)


def feedback_settings(settings: Settings) -> FeedbackSettings | None:
    """The feedback store that the settings ask for; all processes share it and its bounds."""
    if settings.feedback_place is None:
        return None
    return FeedbackSettings(
        folder=settings.feedback_place,
        url=settings.feedback_url,
        pictures=settings.feedback_pictures,
        keep_days=settings.feedback_keep_days,
        keep_bytes=settings.feedback_keep_mb * MIB,
        keep_verdicts=settings.feedback_keep_verdicts,
        queue_bytes=settings.feedback_queue_mb * MIB,
        spot_check_share=settings.spot_check_share,
    )


def audit_trail(settings: Settings, metrics: Metrics, version: str) -> AuditTrail | None:
    """The trail that the settings ask for. Bounds on the disk are shared out among the processes."""
    if settings.audit_folder is None:
        return None
    share = settings.processes
    limits = ChainLimits(
        file_bytes=settings.audit_file_mb * MIB,
        keep_days=settings.audit_keep_days,
        keep_bytes=settings.audit_keep_mb * MIB // share,
    )
    written = WriterSettings(
        folder=settings.audit_folder,
        limits=limits,
        image_bytes=settings.audit_images_mb * MIB // share,
        sync_s=settings.audit_sync_s,
        version=version,
    )
    return AuditTrail(written, metrics, images=settings.audit_images, max_waiting_bytes=settings.audit_queue_mb * MIB)


def device_names(settings: Settings) -> tuple[str, ...]:
    """The devices by name; auto is every GPU there is, or the CPU."""
    if settings.device_names != ("auto",):
        return settings.device_names
    if torch.cuda.is_available():
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return ("cpu",)


def engine_settings(settings: Settings) -> EngineSettings:
    """The engine's share of the settings."""
    return EngineSettings(
        max_batch=settings.max_batch,
        max_batch_pixels=settings.max_batch_pixels,
        batch_wait_s=settings.batch_wait_ms / 1000,
        max_in_flight_images=settings.max_waiting_images,
        max_in_flight_bytes=settings.max_waiting_bytes,
        max_wait_s=settings.max_wait_s,
        caller_share=settings.caller_share,
    )
