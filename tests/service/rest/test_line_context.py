"""Line context is text that a log shows as it is: no control, no separator but the space, nothing of direction."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import TYPE_CHECKING

import pytest

from service.inspection.context import CONTEXT_PATTERN
from service.rest.schemas import ScoreQuery

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, Picture


def test_the_pattern_is_that_of_unicodes_categories() -> None:
    refused = {"Cc", "Cf", "Zl", "Zp", "Zs"}
    pattern = re.compile(CONTEXT_PATTERN)
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        category = unicodedata.category(sign)
        if category != "Cs":  # half a character, which no decoded text holds
            assert (pattern.fullmatch(sign) is None) == (category in refused and sign != " "), hex(code)


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200b", "\u2028", "\u0085", "\u00a0", "\ufeff", "\U000e0041"])
def test_a_sign_that_hides_or_turns_the_text_is_refused_in_query_and_body_schema(
    house: House, picture: Picture, sign: str
) -> None:
    response = house.score(picture(0.1), params={"part_id": f"a{sign}b"})
    assert response.status_code == 422
    assert "part_id" in response.json()["detail"]
    with pytest.raises(ValueError, match="pattern"):
        ScoreQuery(part_id=f"a{sign}b")
    header = house.score(picture(0.1), headers={"X-Part-Id": f"a{sign}b".encode()})
    assert header.status_code == 422


def test_words_of_all_writings_are_taken_also_from_headers(house: House, picture: Picture) -> None:
    for text in ("Linie Ä 7", "生产线", "خط", "línea №4"):
        assert house.score(picture(0.1), params={"line": text}).json()["context"] == {"line": text}
        answer = house.score(picture(0.1), headers={"X-Line": text.encode()})
        assert answer.json()["context"] == {"line": text}
