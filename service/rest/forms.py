"""The forms that parameters must have, as the OpenAPI document states them and as people are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.names import NAME_IN_WORDS, WHOLE_NAME

DEADLINE_PATTERN = r"^[0-9]{1,7}(\.[0-9]{1,3})?$"
IN_WORDS: Mapping[str, str] = {WHOLE_NAME: NAME_IN_WORDS, DEADLINE_PATTERN: "milliseconds in figures, as 500 or 0.5"}


def message_of(error: Mapping[str, Any]) -> str:
    """What pydantic says of one error, with the form in words in place of a regular expression."""
    form = IN_WORDS.get(str(error.get("ctx", {}).get("pattern")))
    return str(error["msg"]) if form is None else f"expected is {form}"
