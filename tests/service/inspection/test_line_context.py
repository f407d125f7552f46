"""A line context is checked once, for every surface, by the same rule that the OpenAPI document shows."""

from __future__ import annotations

import re

import pytest

from service.inspection.context import CONTEXT_PATTERN, InspectionContext, LineContext, LineContextError


@pytest.mark.parametrize("text", ["7", "Linie 3, Süd", "x" * 128])
def test_what_people_write_on_a_line_is_taken(text: str) -> None:
    assert LineContext(station=text).members() == {"station": text}
    assert re.search(CONTEXT_PATTERN, text)


@pytest.mark.parametrize("text", ["", "a\nb", "\x7f", "x" * 129, "tail\n"])
def test_what_would_break_a_log_line_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(LineContextError, match="1 to 128 characters") as raised:
        LineContext(line="7", part_id=text)
    assert raised.value.member == "part_id"


def test_only_what_was_given_is_a_member() -> None:
    assert LineContext().members() == {}
    assert LineContext(line="7", part_id="x1").members() == {"line": "7", "part_id": "x1"}


def test_the_slowest_image_of_a_request_counts_for_each_stage() -> None:
    context = InspectionContext("r1", "test")
    for seconds in (0.1, 0.3, 0.2):
        context.took("decode", seconds)
    assert context.slowest_s == {"decode": 0.3}
