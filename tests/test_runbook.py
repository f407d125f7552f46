"""Every alert has an entry in the runbook, leads to it, and the runbook has no entry of an alert that is gone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
GROUPS = yaml.safe_load((ROOT / "docker" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule
}
ENTRIES = dict(re.findall(r"^### (Mkd\w+)\n\n(.*?)(?=^#|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def test_the_runbook_has_an_entry_for_each_alert_and_for_nothing_else() -> None:
    assert list(ENTRIES) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_grave_it_is_and_leads_to_its_entry(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert {"summary", "description"} <= set(alert["annotations"])


@pytest.mark.parametrize("name", ALERTS)
def test_an_entry_says_when_it_fires_what_it_means_and_what_to_do(name: str) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    assert re.match(rf"\*{severity}\*, ", ENTRIES[name])
    assert "**Do:** " in ENTRIES[name]
