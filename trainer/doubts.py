"""Collects what the checks of a training set find, and refuses a degenerate one unless a person has accepted it."""

from __future__ import annotations

from models.artifact import DegenerateRecord
from trainer.data import DataError
from trainer.data_checks.result import CheckResult
from trainer.fit_run import Display


class Doubts:
    """The checks of one run. `accepted` is --accept-degenerate."""

    def __init__(self, display: Display, *, accepted: bool) -> None:
        self._display = display
        self._accepted = accepted
        self._reasons: list[str] = []

    def heed(self, result: CheckResult) -> None:
        """Tells what was found. Raises DataError for a degenerate result that nobody has accepted."""
        if result.degenerate and not self._accepted:
            raise DataError(
                f"{'; '.join(result.words)}. No artifact is written; --accept-degenerate writes one that says so"
            )
        for words in result.words:
            self._display.say(f"{'DEGENERATE, accepted' if result.degenerate else 'beware'}: {words}")
        if result.degenerate:
            self._reasons.extend(result.words)

    @property
    def record(self) -> DegenerateRecord | None:
        """For the manifest."""
        return DegenerateRecord(reasons=tuple(self._reasons)) if self._reasons else None
