"""Why no thresholds are proposed: each reason in words that say what would help, with the window that would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from models.calibration.change_point import change_point
from models.calibration.neighbours import likeness
from models.calibration.weighted import WeightedScores
from service.feedback.recalibration.parts import HELD_BACK_SHARE, Part

LEVEL = 0.01  # at which parts of one kind are taken for two, or parts in any order for repeated ones
MOST_ALIKE = 0.3  # correlation of neighbours; of lots and shifts there is always some
USUAL_SHARE = 0.02
_MOST_CHANGES = 20


class Refused(Exception):
    """No thresholds are proposed. `since` and `until` (seconds since 1970) bound a window without this fault."""

    def __init__(self, reason: str, *, since: float | None = None, until: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.since = since
        self.until = until


def refuse_waiting(parts: Sequence[Part]) -> None:
    """Raises Refused where a part that was chosen for review has no judgement: those that have are then no fair sample.

    `parts` are in the order of time.
    """
    waiting = [part for part in parts if part.waits]
    if not waiting:
        return
    gone = [part for part in waiting if not part.picture]
    count, first = len(waiting), waiting[0]
    words = (
        f"{_parts(count)} of the window that {'is' if count == 1 else 'are'} REVIEW, NG or a spot check {_has(count)} "
        "no judgement yet, or one that is unsure or disputed; without them the others are no fair sample. Judge them, "
        f"or end the window before the first: until={iso(first.at)}"
    )
    if gone:
        after = next((part.at for part in parts if part.at > gone[-1].at), None)
        words += f". {_parts(len(gone))} of them {_has(len(gone))} no picture any more"
        words += f": begin the window after {'it' if len(gone) == 1 else 'them'}" if after is not None else ""
        words += f": since={iso(after)}" if after is not None else ""
    raise Refused(words, until=first.at)


def refuse_without_spot_checks(parts: Sequence[Part], rates: Sequence[float]) -> None:
    """Raises Refused: parts that became OK had no chance to be looked at."""
    share = max(USUAL_SHARE, *(share_needed(len(parts), rate) for rate in rates))
    raise Refused(
        "no part that became OK had a chance to be looked at: those that people have judged are there because they "
        "scored high, and thresholds from them would lie too high and let defects pass. Set spot_check_share, to "
        f"{share:.2g} for as many parts as these ({len(parts)}), and judge the spot checks too"
    )


def refuse_unlike(parts: Sequence[Part]) -> None:
    """Raises Refused where the scores of parts that are no defects depend on when they came. In the order of time.

    Repeated pictures look like changes as well, and not the other way round: what comes after the last change is looked
    at for them.
    """
    good = [part for part in parts if part.label != "defect"]
    first = change_point([part.score for part in good])
    steady = _after_last_change(good)
    found = likeness([part.score for part in steady])
    if found.correlation > MOST_ALIKE and found.chance < LEVEL:
        raise Refused(
            f"parts score as the ones before them did (ranks of neighbours correlate by {found.correlation:.2f}), as "
            "where pictures of one part are taken again: there are fewer parts than pictures, and nobody can say how "
            "many. Send a part_id with each picture, so that a part counts once"
        )
    if first is not None and len(steady) < len(good):
        higher = "higher" if first.higher else "lower"
        raise Refused(
            f"the parts of the window are of two kinds: from {iso(good[first.first].at)} on they score {higher} "
            f"(Pettitt's test, {first.chance:.1g} by chance), and thresholds from both would fit neither. Begin the "
            f"window where the scores are steady: since={iso(steady[0].at)}",
            since=steady[0].at,
        )


def _after_last_change(good: Sequence[Part]) -> Sequence[Part]:
    """The last kind of parts; all of them where they are of one kind."""
    for _ in range(_MOST_CHANGES):
        found = change_point([part.score for part in good])
        if found is None or found.chance > LEVEL:
            break
        good = good[found.first :]
    return good


def refuse_too_few(weighted: WeightedScores, rate: float, name: str, parts: Sequence[Part]) -> None:
    """Raises Refused where the confirmed parts cannot promise the rate, or cannot tell its threshold well enough."""
    needed = math.ceil(1 / rate) - 1
    if weighted.smallest_rate > rate * (1 + 1e-9):
        raise Refused(
            f"too few parts for the {name} rate {rate:g}: the confirmed ones stand for {weighted.total:.0f} parts of "
            f"the line, with which no rate under {weighted.smallest_rate:.2g} can be promised; {needed} are needed, so "
            f"about {math.ceil(needed / (1 - HELD_BACK_SHARE))} inspected parts with those that check"
        )
    effective = weighted.effective(rate)
    if effective < needed * (1 - 1e-6):
        share = sum(part.spot_check_share for part in parts) / len(parts)
        raise Refused(
            f"the confirmed parts tell the {name} threshold for the rate {rate:g} only as well as {effective:.0f} "
            f"parts drawn at random would, and {needed} are needed: few of those below the present thresholds were "
            f"looked at. Let more parts be inspected, or raise spot_check_share (from {share:.2g} to about "
            f"{min(1.0, share * needed / effective):.2g})"
        )


def share_needed(inspected: int, rate: float) -> float:
    """The share of spot checks with which that many parts tell the threshold for `rate` well enough.

    Where it lies among parts that are all looked at; 1 where the parts are too few for any share.
    """
    left = rate * inspected * (1 - HELD_BACK_SHARE) - (1 - rate) ** 2
    return min(1.0, rate / left) if left > 0 else 1.0


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, cut to milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parts(count: int) -> str:
    return f"{count} part" if count == 1 else f"{count} parts"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
