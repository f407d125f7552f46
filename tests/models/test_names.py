"""Names of products, versions, plans and keys have one form, wherever they are read."""

from __future__ import annotations

import re

import pytest

from models.names import WHOLE_NAME, is_name


@pytest.mark.parametrize("name", ["screw", "7", "A.b-c_d", "x" * 64])
def test_a_name_is_accepted_alone_and_by_a_schema(name: str) -> None:
    assert is_name(name)
    assert re.search(WHOLE_NAME, name)


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "..", "x" * 65, "a b", "ä", "a:b"])
def test_what_could_leave_its_folder_or_break_a_line_is_no_name(name: str) -> None:
    assert not is_name(name)
    assert not re.search(WHOLE_NAME, name)
