"""The dashboard and its provisioning, as far as they can be checked without a Grafana."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from benchmarks.harness.dashboard import DASHBOARD, Panel, panels
from service.metrics import METRICS

GRAFANA = DASHBOARD.parents[1]
DOCUMENT: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
CHARTS = [panel for panel in panels() if panel.kind != "row"]
KINDS = {"stat", "timeseries", "bargauge", "heatmap"}


def provisioned(kind: str, name: str) -> Any:
    return yaml.safe_load((GRAFANA / "provisioning" / kind / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("panel", CHARTS, ids=lambda panel: panel.title)
def test_every_panel_says_what_it_shows_in_which_unit(panel: Panel) -> None:
    assert panel.kind in KINDS
    assert panel.title
    assert panel.description.endswith(".")
    assert panel.unit
    assert panel.targets
    assert all(target.legend for target in panel.targets if panel.kind != "stat")
    assert all(one["datasource"]["uid"] == "${datasource}" for one in panel.raw["targets"])


def test_the_panels_are_many_and_do_not_overlap() -> None:
    assert len(CHARTS) >= 20
    assert len({panel.raw["id"] for panel in panels()}) == len(panels())
    for one, other in combinations([panel.place for panel in panels()], 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    assert all(panel.place.x + panel.place.width <= 24 for panel in panels())


def test_grafanas_own_types_read_all_of_it() -> None:
    """What its types (of Grafana 10.1) do not know they leave out; these are all that newer ones have added."""
    register_default_plugins()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DOCUMENT)))
    newer = {"definition", "titleFormat", "step", "mode"}  # of a variable, the annotations and a heat map's tooltip
    assert {path[-1] for path in left_out(DOCUMENT, read)} <= newer


def left_out(whole: Any, part: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where `part` lacks something of `whole` or has something else."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return [one for name in whole for one in left_out(whole[name], part.get(name, KeyError), (*path, name))]
    if isinstance(whole, list) and isinstance(part, list) and len(whole) == len(part):
        return [one for pair in zip(whole, part, strict=True) for one in left_out(*pair, path)]
    return [] if whole == part else [path]


def test_every_metric_that_a_panel_names_exists() -> None:
    known = {spec.name + suffix for spec in METRICS for suffix in ("_bucket", "_count", "_sum", "")}
    named = {
        name for panel in CHARTS for target in panel.targets for name in re.findall(r"\bmkd_\w+", target.expression)
    }
    assert named <= known


def test_every_panel_follows_the_choice_of_instance_and_product() -> None:
    by_product = {spec.name for spec in METRICS if "product" in spec.labels}
    for panel in CHARTS:
        for target in panel.targets:
            for name, matchers in re.findall(r"\b(mkd_\w+)(?:\{([^}]*)\})?", target.expression):
                assert 'instance=~"$instance"' in matchers, target.expression
                bare = re.sub(r"_(bucket|sum|count)$", "", name)
                assert bare not in by_product or 'product=~"$product"' in matchers or "swaps" in name, target.expression


def test_the_choices_are_those_that_the_expressions_use() -> None:
    offered = {one["name"] for one in DOCUMENT["templating"]["list"]}
    assert offered == {"datasource", "instance", "product"}
    used = {word for word in re.findall(r"\$\{?(\w+)", json.dumps(DOCUMENT["panels"])) if not word.startswith("__")}
    assert used == offered


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    (source,) = provisioned("datasources", "prometheus.yml")["datasources"]
    scraped_every = yaml.safe_load((GRAFANA.parent / "prometheus.yml").read_text(encoding="utf-8"))["global"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["timeInterval"] == scraped_every["scrape_interval"]
    (provider,) = provisioned("dashboards", "mkdserve.yml")["providers"]
    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).is_absolute()
