"""docs/line.md says what there is: codes, settings, metrics, map, nodes, alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml

from service.gateway import registers
from service.gateway.codes import MEANINGS
from service.gateway.links.opcua_nodes import node_table
from service.gateway.metrics import LINE_METRICS, LineMetrics
from service.gateway.mqtt_settings import Broker
from service.gateway.schema import LineSchema
from service.gateway.settings import (
    GatewaySettings,
    LinkSettings,
    OutputChoice,
    ServiceSettings,
    SourceSettings,
    StationSettings,
)

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "line.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "docker" / "line_alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]


def choices(union: object) -> list[type[LineSchema]]:
    return list(get_args(get_args(union)[0]))


TABLES = [
    GatewaySettings,
    ServiceSettings,
    StationSettings,
    Broker,
    *choices(LinkSettings),
    *choices(SourceSettings),
    *choices(OutputChoice),
]


def test_every_code_is_on_the_page() -> None:
    rows = set(re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == {(str(int(code)), code.name.lower(), meaning) for code, meaning in MEANINGS.items()}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_setting_is_on_the_page(table: type[LineSchema]) -> None:
    for name, field in table.model_fields.items():
        if name == "kind":
            assert f'kind = "{get_args(field.annotation)[0]}"' in PAGE
        else:
            assert field.description
            assert re.search(rf"^\| `{name}` \| .* \| {re.escape(field.description)} \|$", PAGE, re.MULTILINE), name


def test_the_map_and_the_nodes_are_those_that_are_printed() -> None:
    assert registers.as_table(0, 100) in PAGE
    assert node_table("press") in PAGE


def test_the_metrics_are_on_the_page_and_are_all_that_is_printed() -> None:
    for spec in LINE_METRICS:
        assert f"| `{spec.name}` |" in PAGE
    printed = set(re.findall(r"^# TYPE (\S+)", LineMetrics().render().decode(), re.MULTILINE))
    assert printed == {spec.name for spec in LINE_METRICS}


def test_every_alert_has_its_entry_and_names_metrics_that_exist() -> None:
    known = {spec.name + suffix for spec in LINE_METRICS for suffix in ("", "_bucket")}
    entries = re.findall(r"^### (MkdLine\w+)\n\n\*(\w+)\*, ", PAGE, re.MULTILINE)
    assert entries == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/line.md#{rule['alert'].lower()}"
        assert set(re.findall(r"mkd_line_\w+", rule["expr"])) <= known
    dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "mkd-line.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        assert panel["description"].endswith(".")
        assert set(re.findall(r"mkd_line_\w+", panel["targets"][0]["expr"])) <= known


def test_every_alert_fires_for_the_station_that_is_ill_alone() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    command = [promtool, "test", "rules", "line_alerts_test.yml"]
    done = subprocess.run(command, cwd=ROOT / "docker", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_structured_text_reads_the_words_of_the_map() -> None:
    """The example names words by number; these are the ones that it relies on."""
    text = (ROOT / "examples" / "line_handshake.st").read_text(encoding="utf-8")
    places = {(field.area, field.name): (field.word, field.bit) for field in registers.MAP}
    for name, bit in (("Ready", 0), ("TriggerAck", 1), ("Acquiring", 2), ("ResultValid", 4), ("OK", 5), ("NG", 7)):
        assert places["result", name] == (0, bit)
        assert f"Result[0].{bit}" in text
    for name, word in (
        ("ResultCode", 2),
        ("ResultCounter", 3),
        ("Decision", 7),
        ("RefusedCode", 16),
        ("ResultCounterEnd", 23),
    ):
        assert places["result", name][0] == word
        assert f"Result[{word}]" in text
