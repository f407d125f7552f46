"""Every method stands in docs/train.md with settings that it has, and has a README of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.heads.registry import BUILT_IN, method_of

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", (ROOT / "docs" / "train.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_method_has_a_row_whose_settings_it_has(name: str) -> None:
    (settings,) = [words for method, words in ROWS if method == name]
    named = set(re.findall(r"(?:^|\), )`(\w+)`", settings))
    assert named
    assert named <= set(method_of(name).Config.model_fields)


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "mkd"])  # docs/method.md is its page
def test_the_readme_names_only_settings_that_the_method_has(name: str) -> None:
    text = (ROOT / "models" / "heads" / name / "README.md").read_text()
    named = set(re.findall(r"`(\w+)=\w+`", text))
    assert named or "## Settings" in text  # a table of all of them, which another test compares
    assert named <= set(method_of(name).Config.model_fields)
