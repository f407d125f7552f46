"""How GET /products/{name}/drift shows a drift report, in figures and in plain words."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime

from service.drift.monitor import SCORE, Moment, WatchState
from service.drift.observer import DriftReport
from service.rest.drift_schemas import DriftReply, DriftWatch, Leaning
from service.rest.options import RestOptions

TOWARDS: dict[str, Leaning] = {"up": "higher", "down": "lower", "wide": "more spread", "narrow": "less spread"}
NOT_RECORDED = "The artifact has not recorded the input's statistics: only its score is watched."
WORST_CASES = (
    "Scores are not watched: the calibration has worst cases over changes (calibrate-under), not parts as they are."
)
NOTHING_TO_RANK = "The artifact has too few calibration images, or other ones, to compare parts with."


def drift_reply(product: str, options: RestOptions, report: DriftReport | None) -> DriftReply:
    """The reply for a product that exists."""
    watches = [_watch(state) for state in report.watches] if report else []
    state = (
        "off" if not options.drift else "no parts yet" if report is None else "drift" if report.drifted else "steady"
    )
    recorded = "unknown" if report is None else "recorded" if report.input_recorded else "not recorded"
    return DriftReply.model_validate(
        {
            "product": product,
            "state": state,
            "words": _words(state, report, watches),
            "version": report.version if report else None,
            "started": _time(report.started) if report else None,
            "parts": report.parts if report else 0,
            "parts_skipped": report.skipped if report else 0,
            "input_statistics": recorded,
            "alarm_level": round(math.log10(options.drift_alarm_parts), 2),
            "processes": options.processes,
            "process": os.getpid(),
            "watches": watches,
        }
    )


def _watch(state: WatchState) -> DriftWatch:
    return DriftWatch(
        watched=state.name,
        drifted=state.drifted,
        evidence=round(state.evidence, 2),
        towards=TOWARDS[state.leaning] if state.drifted else None,
        since=_when(state.since),
        since_part=state.since.part if state.since else None,
        raised_at_part=state.raised.part if state.raised else None,
        calibration_median=_short(state.calibration_median),
        recent_median=None if state.recent_median is None else _short(state.recent_median),
    )


def _words(state: str, report: DriftReport | None, watches: list[DriftWatch]) -> str:
    if state == "off":
        return "Drift is not watched: the setting drift is off."
    if report is None:
        return "No part has been judged since the start, the reset or the new version."
    if not watches:
        return NOTHING_TO_RANK
    if state == "steady":
        words = f"In {report.parts} parts nothing speaks for drift."
    else:
        words = " ".join(_sentence(watch) for watch in watches if watch.drifted)
    if all(watch.watched != SCORE for watch in watches):
        words += f" {WORST_CASES}"
    return words if report.input_recorded else f"{words} {NOT_RECORDED}"


def _sentence(watch: DriftWatch) -> str:
    began = f" since about {watch.since:%Y-%m-%d %H:%M} UTC" if watch.since else ""
    return (
        f"{watch.watched} is {watch.towards} than on the calibration images{began} (part {watch.since_part}): "
        f"median {watch.recent_median:g} of the last parts, {watch.calibration_median:g} there."
    )


def _when(moment: Moment | None) -> datetime | None:
    return _time(moment.at) if moment is not None and moment.at is not None else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
