"""Names the characters that must not stand in a text that goes into logs and reports as it is."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import chain

REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})  # controls, formats (direction among them), separators

# Where characters of these categories are; a test looks at all of Unicode, which takes too long at each start.
PLANES = (range(0x3001), range(0xD800, 0x20000), range(0xE0000, 0xE1000))


@cache
def unprintable() -> str:
    """The inside of a character class of a regular expression: all of REFUSED but the space, by Unicode's categories.

    Ranges in the one notation that Python, Rust (pydantic) and ECMA 262 (OpenAPI) all read: the characters themselves,
    but those of ASCII as \\xNN. Surrogates are left out, since no text that has been decoded holds one.
    """
    ranges: list[list[int]] = []
    for code in chain(*PLANES):
        if code == 0x20 or 0xD800 <= code <= 0xDFFF or unicodedata.category(chr(code)) not in REFUSED:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(
        _written(first) if first == last else f"{_written(first)}-{_written(last)}" for first, last in ranges
    )


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else chr(code)
