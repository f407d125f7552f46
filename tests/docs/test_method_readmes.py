"""A method's README with a table of settings has every setting, with the default that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.heads.registry import BUILT_IN, method_of
from trainer.cli.method_list import default_settings

HEADS = Path(__file__).parents[2] / "models" / "heads"
WITH_TABLES = ("students", "fyd")


def settings_of(page: str) -> dict[str, str]:
    """Name -> default of the rows of the table under "Settings"."""
    table = page.partition("## Settings")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \| \S.*\|$", table, re.MULTILINE))


@pytest.mark.parametrize("name", WITH_TABLES)
def test_every_setting_of_a_method_is_in_its_readme_with_its_default(name: str) -> None:
    page = (HEADS / name / "README.md").read_text(encoding="utf-8")
    assert settings_of(page) == dict(default_settings(method_of(name)))


def test_every_method_is_on_the_page_about_training() -> None:
    page = (HEADS.parents[1] / "docs" / "train.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) >= set(WITH_TABLES)
    assert set(WITH_TABLES) <= set(BUILT_IN)


def test_a_setting_that_is_missing_would_be_found() -> None:
    assert settings_of("## Settings\n\n| `steps` | `3` | how many |\n| `nothing` | `1` |\n") == {"steps": "3"}
