"""A Prometheus and a stretch of time in; a picture of the dashboard's panels, as its JSON describes them, out.

Not Grafana: the same panels, places, expressions, units, legends and colours, drawn with matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.dates
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from benchmarks.harness.dashboard import Panel, filled, panels
from benchmarks.harness.prometheus_process import PrometheusProcess
from examples.dashboard_charts import (
    FAINT,
    INK,
    Series,
    Span,
    Values,
    draw_bars,
    draw_heat,
    draw_lines,
    draw_number,
    drawn,
    legend_columns,
    word_beside_title,
)

COLUMNS = 24
WIDTH_IN, ROW_IN, HEAD_IN, DPI = 16.0, 0.262, 0.5, 92
PAPER, SHADE = "#ffffff", "#eef0f3"
PICTURE_COLOURS = 160


class Shown(NamedTuple):
    """Unix times between which is drawn, the step in seconds, and the stretches that have a name."""

    start: float
    end: float
    step_s: float
    spans: Sequence[tuple[str, float, float]]


def draw_dashboard(prometheus: PrometheusProcess, shown: Shown, title: str, file: Path) -> None:
    """Asks for every panel's series and draws them all into a PNG file."""
    all_panels = panels()
    rows = max(panel.place.y + panel.place.height for panel in all_panels)
    height = HEAD_IN + rows * ROW_IN + 0.1
    with mpl.rc_context({"font.family": "DejaVu Sans", "timezone": "UTC"}):
        figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI, facecolor=SHADE)
        figure.text(0.008, 1 - 0.19 / height, title, fontsize=12, fontweight="bold", color=INK, va="center")
        words = "the panels of docker/grafana/dashboards/mkdserve.json, drawn from Prometheus' answers; times in UTC"
        figure.text(0.992, 1 - 0.19 / height, words, fontsize=8, color=FAINT, va="center", ha="right")
        for panel in all_panels:
            _draw(figure, panel, height, prometheus, shown)
        picture = BytesIO()
        figure.savefig(picture, format="png", facecolor=SHADE)
    file.parent.mkdir(parents=True, exist_ok=True)
    small = Image.open(picture).convert("RGB").quantize(PICTURE_COLOURS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


def series_of(panel: Panel, prometheus: PrometheusProcess, shown: Shown) -> tuple[Values, list[Series]]:
    """The times as matplotlib counts them (days), and each target's series on them."""
    ticks = np.arange(shown.start, shown.end + shown.step_s / 2, shown.step_s)
    found: list[Series] = []
    interval = f"{max(4 * shown.step_s, 10):.0f}s"
    for target in panel.targets:
        expression = filled(target.expression, rate_interval=interval, shown=f"{shown.end - shown.start:.0f}s")
        for one in prometheus.query_range(expression, shown.start, shown.end, shown.step_s):
            values = np.full(len(ticks), np.nan)
            for time, text in one["values"]:
                values[round((float(time) - shown.start) / shown.step_s)] = float(text)
            found.append(Series(target.label(one["metric"]), values, one["metric"]))
    days: Values = ticks / 86400
    return days, found


def _draw(figure: Figure, panel: Panel, height: float, prometheus: PrometheusProcess, shown: Shown) -> None:
    place = panel.place
    left, width = place.x / COLUMNS, place.width / COLUMNS
    top = 1 - (HEAD_IN + place.y * ROW_IN - 0.1) / height
    tall = place.height * ROW_IN / height
    if panel.kind == "row":
        figure.text(
            left + 0.008, top - tall * 0.62, panel.title, fontsize=10.5, fontweight="bold", color=INK, va="center"
        )
        return
    days, series = series_of(panel, prometheus, shown)
    spans = [Span(name, start / 86400, end / 86400) for name, start, end in shown.spans]
    margin_x, margin_y = 0.04 / WIDTH_IN, 0.04 / height
    box = FancyBboxPatch(
        (left + margin_x, top - tall + margin_y), width - 2 * margin_x, tall - 2 * margin_y,
        boxstyle="round,pad=0,rounding_size=0.002", mutation_aspect=WIDTH_IN / height, transform=figure.transFigure,
        facecolor=PAPER, edgecolor="#d9dce2", linewidth=0.7, zorder=-2,
    )  # fmt: skip
    figure.add_artist(box)
    figure.text(
        left + 0.1 / WIDTH_IN, top - 0.2 / height, panel.title, fontsize=8.2, fontweight="bold",
        color="white" if panel.kind == "stat" else INK, va="center", zorder=5,
    )  # fmt: skip
    figure.text(
        left + width - 0.12 / WIDTH_IN, top - 0.2 / height, word_beside_title(panel), fontsize=7, color=FAINT,
        ha="right", va="center",
    )  # fmt: skip
    if panel.kind == "stat":
        axes = figure.add_axes((left, top - tall, width, tall - 0.25 / height))
        colour = draw_number(axes, panel, series)
        box.set(facecolor=colour, edgecolor=colour)
        return
    if panel.kind == "bargauge":
        inner = (left + 0.15 / WIDTH_IN, top - tall + 0.12 / height, width - 0.3 / WIDTH_IN, tall - 0.5 / height)
        draw_bars(figure.add_axes(inner), panel, series)
        return
    lines = _legend_lines(panel, series) if panel.kind == "timeseries" else 0
    below = (0.3 + 0.125 * lines) / height
    inner = (left + 0.62 / WIDTH_IN, top - tall + below, width - 0.75 / WIDTH_IN, tall - below - 0.38 / height)
    axes = figure.add_axes(inner)
    if panel.kind == "heatmap":
        draw_heat(axes, days, series, spans)
    else:
        draw_lines(axes, panel, days, series, spans)


def _legend_lines(panel: Panel, series: Sequence[Series]) -> int:
    named = drawn(panel, series)
    return -(-len(named) // legend_columns(panel, named)) if named else 0


def now() -> float:
    """Unix time, for the one who notes when a stretch begins."""
    return datetime.now(UTC).timestamp()
