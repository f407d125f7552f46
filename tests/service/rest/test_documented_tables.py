"""The tables in docs/ say what the code says: settings, error codes, routes, parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from service.metrics import METRICS
from service.rest.openapi import all_codes
from service.rest.schemas import LocalizedVerdict, LocalizeQuery
from service.run.command_line import default_text, flag
from service.run.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import House

DOCS = Path(__file__).parents[3] / "docs"


def rows(page: str) -> list[list[str]]:
    """The cells of every table row of a page, without back-ticks."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in tables]


def test_every_setting_is_documented_with_its_flag_variable_default_and_meaning() -> None:
    expected = [
        [flag(name), ENV_PREFIX + name.upper(), default_text(field), (field.description or "").replace("`", "")]
        for name, field in Settings.model_fields.items()
    ]
    assert [row for row in rows("settings.md") if row[0].startswith("--")] == expected
    assert all(row[3].endswith(".") for row in expected)


def test_every_metric_is_documented_with_its_kind_labels_and_meaning() -> None:
    known = [[one.name, one.kind, ", ".join(one.labels) or "-", " ".join(one.help.split())] for one in METRICS]
    assert [row for row in rows("metrics.md") if row[0].startswith("mkd_")] == known


def test_every_metric_that_a_page_or_an_alert_names_exists() -> None:
    """Those of the gateway (mkd_line_) are held to their page by its own tests."""
    names = {one.name for one in METRICS}
    pages = [*DOCS.glob("*.md"), *(DOCS.parent / "docker").glob("*.yml")]
    for page in pages:
        for named in re.findall(r"(?<![\w/])mkd_(?!line_)[a-z_]+", page.read_text(encoding="utf-8")):
            bare = re.sub(r"_(bucket|sum|count)$", "", named)
            assert named in names or bare in names, f"{page.name} names {named}"


def test_every_error_code_is_documented_with_its_status_and_title() -> None:
    known = [[row.code, str(row.status), row.title] if row.status else [row.code, row.title] for row in all_codes()]
    listed = [row for row in rows("errors.md") if row[0] != "Code" and not row[0].isdecimal()]  # but exit codes
    found = [row[:3] if len(row) == 4 else row for row in listed]
    assert found == known


def test_no_code_has_two_meanings() -> None:
    codes = [row.code for row in all_codes()]
    assert len(set(codes)) == len(codes)


def test_every_route_is_documented(house: House) -> None:
    document = house.get("/openapi.json").json()
    known = {f"{method.upper()} {path}" for path, routes in document["paths"].items() for method in routes}
    assert {row[0] for row in rows("api.md") if row[0].startswith(("GET /", "POST /", "DELETE /"))} == known


def test_every_parameter_and_member_is_documented() -> None:
    words = {word for row in rows("api.md") for word in row[0].replace(",", " ").split()}
    assert set(LocalizeQuery.model_fields) <= words
    assert set(LocalizedVerdict.model_fields) <= words
