"""A panel and its series in, drawn on matplotlib axes: lines, stacks, a heat map, bars, or one large number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.dates
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.harness.dashboard import Panel
from examples.dashboard_units import text_of

INK, FAINT, GRID = "#2a2c33", "#6f7480", "#e3e5ea"
PALETTE = (
    "#3c78b4", "#e0a030", "#4e9a55", "#8a63b0", "#cc5c5c", "#4fa3a5", "#b07a4a", "#d584b0", "#7d8590", "#a8b545",
    "#1f3f66", "#8a5f10", "#23552a", "#4a2f66", "#7a2626", "#1f5a5c", "#5e3d20", "#8a3f68", "#3d434b", "#5f6a1f",
)  # fmt: skip
SPAN = "#f3d9a4"
SMALL = 7.0

Values = npt.NDArray[np.float64]


class Series(NamedTuple):
    """One line: its legend and one value per time, NaN where there is none."""

    label: str
    values: Values
    labels: dict[str, str]


class Span(NamedTuple):
    """A stretch of time with a name, in matplotlib's days."""

    name: str
    start: float
    end: float


def draw_lines(axes: Axes, panel: Panel, times: Values, series: Sequence[Series], spans: Sequence[Span]) -> None:
    """A time series panel; dashed where an override says so. Of a stack, layers that are 0 all along are left out."""
    series = drawn(panel, series)
    stack = [one for one in series if panel.stacked and panel.override(one.label, "custom.stacking") is None]
    colours = {one.label: colour_of(panel, one.label, place) for place, one in enumerate(series)}
    if stack:
        layers = [np.nan_to_num(one.values) for one in stack]
        shades = [colours[one.label] for one in stack]
        axes.stackplot(times, layers, colors=shades, alpha=0.75, labels=[one.label for one in stack], linewidth=0)
    for one in series:
        if one not in stack:
            dashed = panel.override(one.label, "custom.lineStyle") is not None
            style, width = ("--", 1.1) if dashed else ("-", 1.5)
            axes.plot(times, one.values, style, color=colours[one.label], linewidth=width, label=one.label)
    if panel.defaults.get("custom", {}).get("thresholdsStyle"):
        axes.axhline(panel.defaults["thresholds"]["steps"][-1]["value"], color="#cc3d3d", linewidth=0.9, linestyle=":")
    _time_axis(axes, times, spans)
    highest = 1.08 * axes.dataLim.y1
    axes.set_ylim(0, panel.defaults.get("max") or (highest if series and 0 < highest < np.inf else 1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(round(value, 9), axis_unit(panel))))
    if series:
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.12), ncols=legend_columns(panel, series), **_legend())
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=9)


def draw_heat(axes: Axes, times: Values, series: Sequence[Series], spans: Sequence[Span]) -> None:
    """A histogram over time from its cumulative buckets, one row a bucket; the row's upper bound beside it."""
    ordered = sorted(series, key=lambda one: float(one.labels["le"].replace("+Inf", "inf")))
    cumulative = np.stack([np.nan_to_num(one.values) for one in ordered])
    counts = np.diff(cumulative, axis=0, prepend=0).clip(0)
    edges = np.append(times, 2 * times[-1] - times[-2])
    heat = np.ma.masked_less(counts, 1e-9)
    axes.pcolormesh(edges, np.arange(len(ordered) + 1), heat, cmap="Blues", norm=PowerNorm(0.5, 0, counts.max() or 1))
    _time_axis(axes, times, spans)
    bounds = [one.labels["le"] for one in ordered]
    axes.set_yticks(np.arange(1, len(bounds)), [f"{float(bound):g}" for bound in bounds[:-1]])
    axes.axhline(bounds.index("1.0") + 1, color="#cc3d3d", linewidth=1, linestyle="--")
    axes.set_facecolor("#fafbfc")
    axes.grid(visible=False)


def draw_bars(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    """A bar gauge: the last value of each series."""
    ordered = sorted(series, key=lambda one: one.label, reverse=True)
    last = [last_of(one.values) for one in ordered]
    colours = [colour_of(panel, one.label, 0) for one in ordered]
    axes.barh(range(len(ordered)), last, color=colours, height=0.45)
    for place, (one, value) in enumerate(zip(ordered, last, strict=True)):
        axes.text(0, place + 0.25, one.label, fontsize=SMALL, color=INK, va="bottom")
        text = text_of(value, panel.unit, panel.defaults.get("decimals"))
        axes.text(value, place, f" {text}", fontsize=8.5, color=INK, va="center", fontweight="bold")
    axes.set(xlim=(0, max([*last, 1]) * 1.15), ylim=(-0.5, len(ordered)))
    axes.axis("off")


def draw_number(axes: Axes, panel: Panel, series: Sequence[Series]) -> str:
    """A stat panel's number; the colour that its thresholds or mappings give to the whole panel."""
    value = last_of(series[0].values) if series else float("nan")
    text, colour = text_of(value, panel.unit, panel.defaults.get("decimals")), str(FAINT)
    for step in panel.defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    for mapping in panel.defaults.get("mappings", []):
        found = mapping["options"].get(f"{value:g}")
        text, colour = (found["text"], found["color"]) if found else (text, colour)
    axes.text(0.5, 0.46, text, ha="center", va="center", fontsize=17, fontweight="bold", color="white")
    axes.axis("off")
    return colour


def axis_unit(panel: Panel) -> str:
    """The unit beside an axis, where a word would be too long: that is written beside the title."""
    return "short" if word_beside_title(panel) else panel.unit


def word_beside_title(panel: Panel) -> str:
    """The unit where it is a word, as `images`; empty for one that stands well behind each number."""
    word = panel.unit.removeprefix("suffix:").strip() if panel.unit.startswith("suffix:") else ""
    return word if len(word) > 2 else ""


def drawn(panel: Panel, series: Sequence[Series]) -> Sequence[Series]:
    """The series that show: all, but for those of a stack that are 0 all along."""
    return [one for one in series if np.nan_to_num(one.values).any()] or series[:1] if panel.stacked else series


def legend_columns(panel: Panel, series: Sequence[Series]) -> int:
    """How many legends fit beside each other."""
    characters = panel.place.width * 12.5
    return min(7, max(1, int(characters / (6 + max(len(one.label) for one in series)))))


def last_of(values: Values) -> float:
    """The last value that is a number."""
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else float("nan")


def colour_of(panel: Panel, label: str, place: int) -> str:
    """What an override says, else the place in the palette."""
    given = panel.override(label, "color")
    return str(given["fixedColor"]) if given else PALETTE[place % len(PALETTE)]


def _time_axis(axes: Axes, times: Values, spans: Sequence[Span]) -> None:
    for span in spans:
        axes.axvspan(span.start, span.end, color=SPAN, alpha=0.35, linewidth=0, zorder=0)
        axes.text(
            (span.start + span.end) / 2, 0.985, span.name, transform=axes.get_xaxis_transform(), ha="center", va="top",
            fontsize=6.2, color="#8a6a20", clip_on=True,
        )  # fmt: skip
    axes.set_xlim(times[0], times[-1])
    minutes = max(1, round((times[-1] - times[0]) * 1440 / 6))
    axes.xaxis.set_major_locator(matplotlib.dates.MinuteLocator(interval=minutes))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=SMALL, colors=FAINT, length=0)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend() -> dict[str, Any]:
    return {
        "fontsize": 6.6, "frameon": False, "handlelength": 1.1, "columnspacing": 1.1, "labelspacing": 0.25,
        "borderpad": 0, "labelcolor": INK,
    }  # fmt: skip
