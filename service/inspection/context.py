"""What goes with one request through the core, whatever surface it came by: who asked, where it stands, until when."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field

from service.inspection.characters import unprintable

CONTEXT_PATTERN = f"^[^{unprintable()}]{{1,128}}$"
CONTEXT_RULE = "1 to 128 characters, no control or direction characters, no separator other than the space"
_TEXT = re.compile(CONTEXT_PATTERN[1:-1])


class LineContextError(ValueError):
    """One member of a line context is not written as it must be; `member` says which."""

    def __init__(self, member: str) -> None:
        super().__init__(f"{member}: {CONTEXT_RULE}")
        self.member = member


@dataclass(frozen=True)
class LineContext:
    """Where a part was inspected and which part it was; for logs, audit and replies, never for a metric's label.

    Raises LineContextError for the first member that breaks CONTEXT_RULE.
    """

    line: str | None = None
    station: str | None = None
    part_id: str | None = None

    def __post_init__(self) -> None:
        for name, text in self.members().items():
            if _TEXT.fullmatch(text) is None:
                raise LineContextError(name)

    def members(self) -> dict[str, str]:
        """What was given, by name."""
        named = (("line", self.line), ("station", self.station), ("part_id", self.part_id))
        return {name: text for name, text in named if text is not None}


NO_LINE = LineContext()


@dataclass
class InspectionContext:
    """One request on its way: given by its surface, filled in by the core, read by the surface for its log.

    `deadline` and `started` are times of `time.monotonic()`; `caller` is the name of the API key. No image content and
    no key ever gets in here.
    """

    request_id: str
    surface: str
    line: LineContext = NO_LINE
    deadline: float | None = None
    caller: str | None = None
    started: float = field(default_factory=time.monotonic)
    # Filled in by the core.
    product: str | None = None
    version: str | None = None
    images: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # images without a verdict by the code of their error
    slowest_s: dict[str, float] = field(default_factory=dict)  # seconds by stage, of the slowest image

    def took(self, stage: str, seconds: float) -> None:
        """Keep the largest time seen for `stage`."""
        self.slowest_s[stage] = max(self.slowest_s.get(stage, 0.0), seconds)
