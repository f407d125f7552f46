"""The picture of the dashboard: units as people read them, and every panel drawn from what Prometheus answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from benchmarks.harness.dashboard import Panel, panels
from benchmarks.harness.prometheus_process import PrometheusProcess
from examples.dashboard_charts import colour_of, word_beside_title
from examples.dashboard_sheet import Shown, draw_dashboard, series_of
from examples.dashboard_units import text_of

LABELS = {"le": ["0.5", "1.0", "+Inf"], "decision": ["OK", "NG"], "product": ["bolt", "tile"]}


class FakePrometheus:
    """Answers any expression with one series for each value of each label that it keeps, from the second step on."""

    def query_range(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        kept = re.search(r"by \(([^)]*)\)", expression)
        sets: list[dict[str, str]] = [{}]
        for name in kept[1].split(", ") if kept else []:
            sets = [{**one, name: value} for one in sets for value in LABELS.get(name, ["one"])]
        steps = int((end - start) / step_s)
        return [{"metric": one, "values": [[start + i * step_s, "1"] for i in range(1, steps + 1)]} for one in sets]


def panel_of(title: str) -> Panel:
    return next(panel for panel in panels() if panel.title == title)


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.256, "percentunit", None, "25.6 %"),
        (0.0123, "s", None, "12.3 ms"),
        (7200.0, "s", 0, "2 h"),
        (3 * 2.0**30, "bytes", None, "3 GiB"),
        (12.34, "suffix: /s", 1, "12.3 /s"),
        (12345.0, "short", None, "12 345"),
        (0.0, "s", None, "0"),
        (float("nan"), "s", None, "no data"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float, unit: str, decimals: int | None, text: str) -> None:
    assert text_of(value, unit, decimals) == text


def test_colours_come_from_the_dashboard_and_long_units_stand_beside_the_title() -> None:
    decisions = panel_of("Decisions")
    assert colour_of(decisions, "NG", 0) != colour_of(decisions, "OK", 0)
    assert colour_of(decisions, "NG", 0) == colour_of(decisions, "NG", 5)
    assert word_beside_title(panel_of("Queue")) == "images"
    assert word_beside_title(decisions) == ""


def test_a_series_keeps_its_gaps_and_its_legend() -> None:
    prometheus = cast(PrometheusProcess, FakePrometheus())
    days, series = series_of(panel_of("NG share by product"), prometheus, Shown(1000.0, 1020.0, 5.0, ()))
    assert len(days) == 5
    assert [one.label for one in series] == ["bolt", "tile", "promised: bolt", "promised: tile"]
    assert [value == 1 for value in series[0].values] == [False, True, True, True, True]


def test_all_panels_are_drawn_into_one_small_picture(tmp_path: Path) -> None:
    shown = Shown(1_800_000_000.0, 1_800_000_100.0, 10.0, [("dimmed", 1_800_000_020.0, 1_800_000_050.0)])
    draw_dashboard(cast(PrometheusProcess, FakePrometheus()), shown, "two minutes", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[0] > 1000
    assert (tmp_path / "sheet.png").stat().st_size < 300_000
