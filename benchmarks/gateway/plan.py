"""The faults of the run by their weights, and what is true of each part and was answered."""

from __future__ import annotations

from collections import Counter

from service.gateway.codes import Code
from service.gateway.events import Answer, Decision

WINDOW_S = 0.1
FAULTS = {
    "none": 60,
    "picture late": 2,
    "camera lost": 2,
    "picture of another trigger": 2,
    "verdict late": 2,
    "429": 2,
    "503": 2,
    "504": 2,
    "service unreachable": 2,
    "score not a number": 2,
    "verdict of another product": 2,
    "verdict contradicts its score": 2,
    "second trigger while acquiring": 3,
    "second trigger while judging": 3,
    "connection lost": 3,
    "acknowledgement lost": 3,
    "acknowledgement doubled": 3,
    "recipe unknown": 2,
    "recipe changed in the cycle": 2,
    "aborted": 2,
    "restart": 1,
}
MAY_BE_OK = {
    "none",
    "second trigger while judging",
    "acknowledgement lost",
    "acknowledgement doubled",
    "recipe changed in the cycle",
}


class Bench:
    """What is true of each part, by trigger id, and what was answered."""

    def __init__(self) -> None:
        self.fault: dict[int, str] = {}
        self.is_good: dict[int, bool] = {}
        self.answers: dict[int, list[Answer]] = {}
        self.withdrawn = 0
        self._cycles: set[tuple[str, int]] = set()

    def part(self, number: int, fault: str, is_good: bool) -> None:
        self.fault[number], self.is_good[number], self.answers[number] = fault, is_good, []

    def on_answer(self, station: str, answer: Answer) -> None:
        if (station, answer.cycle) in self._cycles:
            self.withdrawn += 1
        else:
            self._cycles.add((station, answer.cycle))
            self.answers[answer.trigger_id].append(answer)

    def wrong_oks(self) -> int:
        """OKs of bad parts, and of parts whose fault forbids one."""
        oks = [answer for all_ in self.answers.values() for answer in all_ if answer.decision is Decision.OK]
        return sum(not self.is_good[one.trigger_id] or self.fault[one.trigger_id] not in MAY_BE_OK for one in oks)

    def late(self) -> int:
        """Judged answers after the window."""
        every = [answer for all_ in self.answers.values() for answer in all_]
        return sum(one.seconds >= WINDOW_S for one in every if one.decision is not Decision.REJECT)


def table(bench: Bench) -> str:
    """What each fault was answered by, in Markdown."""
    rows: dict[str, Counter[str]] = {}
    for number, answers in bench.answers.items():
        for answer in answers:
            word = answer.decision.value if answer.code is Code.JUDGED else f"REJECT {int(answer.code)}"
            rows.setdefault(bench.fault[number], Counter())[word] += 1
    lines = ["| Fault | Triggers | Answers |", "|---|---|---|"]
    for fault in [*FAULTS, "is the second trigger"]:
        said = rows.get(fault, Counter())
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(said.items()))
        lines.append(f"| {fault} | {said.total():,} | {words} |")
    return "\n".join(lines)
