"""docker/grafana/dashboards/mkdserve.json in; its panels, as far as a query or a drawing needs them, out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.service_process import ROOT

DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "mkdserve.json"
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Place(NamedTuple):
    """Where a panel lies on the grid, 24 columns wide."""

    x: int
    y: int
    width: int
    height: int


class Target(NamedTuple):
    """One expression with the template of its legend."""

    expression: str
    legend: str

    def label(self, series: dict[str, str]) -> str:
        """The legend of a series with these labels."""
        return _LEGEND.sub(lambda found: series.get(found[1], ""), self.legend)


@dataclass(frozen=True)
class Panel:
    """One panel or row. `raw` is what the JSON says of it."""

    raw: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.raw["type"])

    @property
    def title(self) -> str:
        return str(self.raw["title"])

    @property
    def description(self) -> str:
        return str(self.raw.get("description", ""))

    @property
    def place(self) -> Place:
        grid = self.raw["gridPos"]
        return Place(grid["x"], grid["y"], grid["w"], grid["h"])

    @property
    def targets(self) -> list[Target]:
        return [Target(one["expr"], one.get("legendFormat", "")) for one in self.raw.get("targets", [])]

    @property
    def defaults(self) -> dict[str, Any]:
        """fieldConfig.defaults: unit, decimals, thresholds, mappings, custom."""
        found: dict[str, Any] = self.raw.get("fieldConfig", {}).get("defaults", {})
        return found

    @property
    def unit(self) -> str:
        return str(self.defaults.get("unit", ""))

    @property
    def stacked(self) -> bool:
        return bool(self.defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal")

    def override(self, label: str, name: str) -> Any:
        """The value that an override gives to the series of this label, None where there is none."""
        for one in self.raw.get("fieldConfig", {}).get("overrides", []):
            by_name = one["matcher"]["id"] == "byName"
            pattern = re.escape(one["matcher"]["options"]) if by_name else one["matcher"]["options"]
            if re.fullmatch(pattern, label):
                for given in one["properties"]:
                    if given["id"] == name:
                        return given["value"]
        return None


def panels(file: Path = DASHBOARD) -> list[Panel]:
    """All panels and rows, in the file's order."""
    return [Panel(raw) for raw in json.loads(file.read_text(encoding="utf-8"))["panels"]]


def filled(expression: str, *, rate_interval: str, shown: str) -> str:
    """The expression as Grafana sends it with all instances and products chosen and `shown` as the time range."""
    values = {"__rate_interval": rate_interval, "__range": shown, "instance": ".+", "product": ".+"}
    text = re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
    assert "$" not in text
    return text
