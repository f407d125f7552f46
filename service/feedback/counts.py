"""Counts over stored verdicts and over what people said of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Statistics:
    """`buckets` are (begin in seconds since 1970, count by decision), oldest first; `p_values` are counts over equal
    parts of 0 to 1, which are about equal for good parts like those of the calibration."""

    buckets: list[tuple[float, dict[str, int]]]
    p_values: list[int]
    waiting: int


@dataclass
class Parts:
    """Parts of one kind by how they were decided."""

    decisions: dict[str, int] = field(default_factory=lambda: {"OK": 0, "REVIEW": 0, "NG": 0})
    spot_checks: dict[str, int] = field(default_factory=lambda: {"OK": 0, "REVIEW": 0, "NG": 0})
    misses_estimated: float = 0.0

    @property
    def parts(self) -> int:
        return sum(self.decisions.values())

    @property
    def detected(self) -> int:
        """Those that were not let through."""
        return self.decisions["REVIEW"] + self.decisions["NG"]

    @property
    def detection_rate(self) -> float | None:
        """Share of defects that were not let through, misses estimated by spot checks; None without any."""
        defects = self.detected + self.misses_estimated
        return self.detected / defects if defects else None

    def add(self, decision: str, is_spot_check: bool, share: float) -> None:
        """One part more."""
        self.decisions[decision] += 1
        if is_spot_check:
            self.spot_checks[decision] += 1
            if decision == "OK":
                self.misses_estimated += 1 / share


@dataclass
class Summary:
    """Good parts, defects by class (None: no class was given), and how many are unsure or disagreed on."""

    good: Parts = field(default_factory=Parts)
    defects: dict[str | None, Parts] = field(default_factory=dict)
    unsure: int = 0
    disagreed: int = 0
