"""What a check of data found."""

from __future__ import annotations

from typing import NamedTuple


class CheckResult(NamedTuple):
    """`degenerate`: nothing can be learned or judged from this, and what is trained on it must not serve unasked.

    `words` say what was found, for a person; there may be some on a result that is not degenerate: warnings.
    """

    degenerate: bool
    words: tuple[str, ...]
