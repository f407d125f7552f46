"""Adds a trial's times up to what a whole fit will take, and says it in words.

time   = pictures * (prepare + source) + fit + steps + held-out and golden pictures * (prepare + source + judge)
memory = what the process has taken at most so far + the cache of activations + the head + what checks take

By K folds there are K further fits to a share of (K - 1) / K, and all pictures are judged in place of
the held-out ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil

from models.heads.base import FitDiverged, Method
from models.heads.parts.loop_settings import LoopSettings
from models.heads.registry import method_of
from trainer.activations import bytes_per_image, store_bytes
from trainer.fitting import Fitting
from trainer.forecast.trial import PICTURES, Trial, try_fit
from trainer.group_fit import FOLDS

GIB, MIB = 2**30, 2**20
CHECK_BYTES = 300 * MIB  # that calibration and golden pictures took besides, of four methods at 128 pixels
MAPS_AT_ONCE = 3  # of all pictures, by folds: as they come, side by side, and sorted for their median
GOLDEN = 30  # pictures judged for the golden ones, the painted defects among them, and to verify


class Forecast(NamedTuple):
    """Seconds by part of a fit, and bytes: of memory at the peak, and of the cache on the disk."""

    source_s: float
    fit_s: float
    check_s: float
    peak_bytes: int
    cache_bytes: int
    folds: int = 0
    folds_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return self.source_s + self.fit_s + self.folds_s + self.check_s

    def words(self, method: str) -> str:
        """One line for a person."""
        folds = ((f"{self.folds} further fits by folds", self.folds_s),) if self.folds else ()
        parts = (("source", self.source_s), (method, self.fit_s), *folds, ("calibration and checks", self.check_s))
        listed = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts)
        return (
            f"forecast: about {duration(self.seconds)} on this machine ({listed}), {in_words(self.peak_bytes)} of "
            f"memory at the peak, {in_words(self.cache_bytes)} of disk while it runs"
        )

    def compared(self, seconds: float) -> str:
        """The same beside what it has become."""
        return (
            f"took {duration(seconds)} (forecast {duration(self.seconds)}), {in_words(peak_bytes())} of memory at the "
            f"peak (forecast {in_words(self.peak_bytes)})"
        )


def forecast(fitting: Fitting) -> Forecast | None:
    """Tries the fit on some pictures and says what all of them will take; None, and why, where that cannot be tried."""
    name = fitting.settings.method.method
    try:
        trial = try_fit(fitting)
    except (ValueError, FitDiverged) as error:
        fitting.display.say(f"no forecast: {name} cannot be tried on {PICTURES} pictures ({error})")
        return None
    found = sum_up(fitting, trial)
    fitting.display.say(found.words(name))
    return found


def sum_up(fitting: Fitting, trial: Trial) -> Forecast:
    """What all pictures take, of what some have taken."""
    settings, views, pictures = fitting.settings, fitting.views.count, len(fitting.found.files)
    folds = min(settings.folds, pictures) if settings.calibrate_by == "folds" else 0
    held_out = 0 if folds else max(2, round(settings.hold_out * pictures))
    trained = (pictures - held_out) * views * settings.augmentation.images_of_each
    varies = settings.augmentation.varies
    stored = trained if varies else pictures * views
    passed = stored + (pictures * views if varies and settings.split == "groups" else 0)
    cached = stored * bytes_per_image(settings.image_size, fitting.spec, fitting.taps) <= fitting.cache_limit_bytes
    again = 0.0
    if not cached and isinstance(settings.method, LoopSettings):
        again = settings.method.batch_size * trial.source_s  # for each step
    judged = (held_out or pictures) * (1 + len(settings.calibrate_under)) + GOLDEN
    maps = MAPS_AT_ONCE * pictures * views * 4 * settings.image_size**2 if folds else 0
    size, limit = settings.image_size, fitting.cache_limit_bytes
    cache = store_bytes(stored, size, fitting.spec, fitting.taps, limit) + sum(
        store_bytes(trained, one.size, fitting.spec, one.taps, limit) for one in trial.further
    )
    looks_s = _fits(fitting) * trained * trial.fit_s
    steps_s = _trainings(fitting) * sum(one.steps * (one.step_s + again) for one in trial.trainings)
    return Forecast(
        source_s=passed * (trial.prepare_s + trial.source_s),
        fit_s=looks_s + steps_s,
        folds=folds,
        folds_s=(folds - 1) * looks_s + folds * steps_s if folds else 0.0,
        check_s=judged * views * (trial.prepare_s + trial.source_s + trial.judge_s),
        peak_bytes=round(peak_bytes() + cache + trained * trial.bytes + CHECK_BYTES + maps),
        cache_bytes=cache,
    )


def _fits(fitting: Fitting) -> int:
    """How often all of a group's pictures are looked at: by its own fit, and by each fold but the one set aside."""
    return FOLDS if fitting.views.preprocessing.groups else 1


def _trainings(fitting: Fitting) -> int:
    """How often the method trains: once for each group of channels, and for each fold where it keeps no weights."""
    groups = len(fitting.views.preprocessing.groups)
    if not groups:
        return 1
    keeps = type(method_of(fitting.settings.method.method)).fit_again is not Method.fit_again
    return groups if keeps else groups * (1 + FOLDS)


def duration(seconds: float) -> str:
    """In the units in which people say it: 0.4 s, 12 s, 3 min, 1 h 20 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def in_words(size: float) -> str:
    """Bytes in MiB or GiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def peak_bytes() -> int:
    """The most memory that this process has held so far, mapped files included; where the system keeps no such number,
    what it holds now. (getrusage would give the parent's where that had more.)"""
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii", errors="replace").splitlines() if status.exists() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().rss
