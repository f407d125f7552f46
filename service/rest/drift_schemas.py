"""The schemas of GET /products/{name}/drift."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.rest.schemas import Schema

Leaning = Literal["higher", "lower", "more spread", "less spread"]


class DriftWatch(Schema):
    """One number of every part, compared with the calibration images'."""

    watched: str = Field(description="score, or a statistic of the input: brightness, contrast, sharpness, ...")
    drifted: bool
    evidence: float = Field(
        description="log10; the alarm is raised at alarm_level. While it lasts, what it was raised at."
    )
    towards: Leaning | None = Field(description="Where the values have gone; null while there is no drift.")
    since: datetime | None = Field(
        description="When the drift is likely to have begun; null too where that is too long ago."
    )
    since_part: int | None = Field(description="The same as a part's number, counted from the start of the watch.")
    raised_at_part: int | None = Field(description="Part at which the alarm was raised.")
    calibration_median: float
    recent_median: float | None = Field(description="Of the last 100 parts.")


class DriftReply(Schema):
    """Whether the parts of a product are still like those that its active artifact was calibrated on."""

    product: str
    state: Literal["steady", "drift", "no parts yet", "off"] = Field(
        description="steady; drift; no parts yet (since start, reset or new version); off (setting drift)."
    )
    words: str = Field(description="The same in a sentence or two, for people.")
    version: str | None = Field(description="The version whose calibration is compared with.")
    started: datetime | None = Field(description="When the watch began.")
    parts: int = Field(description="Parts seen since then, by this process.")
    parts_skipped: int = Field(description="Parts passed over since they came faster than the watch takes them.")
    input_statistics: Literal["recorded", "not recorded", "unknown"] = Field(
        description="Whether the artifact holds those of its calibration images; else the score alone is watched."
    )
    alarm_level: float = Field(description="log10 of the setting drift_alarm_parts.")
    processes: int = Field(
        description="Server processes; each watches the parts that it judges, and this is one of them."
    )
    process: int = Field(description="Process id of the one that answers.")
    watches: list[DriftWatch]
