"""What a station remembers between events, and the steps that its events are made of.

Every way to an answer leads through `_show`: it is shown and told once, and nothing but a sound verdict makes it other
than REJECT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.gateway.codes import Code
from service.gateway.events import Answer, Answered, Decision, Effect, Noted, Phase, TriggerRequest, Withdrawn
from service.gateway.judge import GatewayVerdict
from service.gateway.outputs_view import Outputs

LARGEST_COUNT = 0xFFFF  # counters that the PLC reads are words; 0 means that there was none yet
BUSY = (Phase.ACQUIRING, Phase.JUDGING)


@dataclass(frozen=True)
class Cycle:
    """The trigger that is being worked on. `spoiled` is the code that replaces whatever verdict comes."""

    number: int
    request: TriggerRequest
    product: str
    started: float
    deadline: float
    spoiled: Code | None = None


class StationState:
    """One station. Its members are read by `Station` alone, which changes phase, idle code and heartbeat itself."""

    def __init__(self, products: Mapping[str, str], window_s: float) -> None:
        self.products = dict(products)
        self._window_s = window_s
        self._now = float("-inf")
        self.phase = Phase.STOPPED
        self.cycle: Cycle | None = None
        self._cycles = 0
        self.answer: Answer | None = None
        self.answer_deadline: float | None = None  # until the answer has reached the PLC
        self.conditions: dict[str, Code] = {}
        self.idle_code = Code.STARTED
        self.result = self.heartbeat = self._faults = self._refused = self._refused_id = 0
        self._refused_code = Code.JUDGED

    def outputs(self) -> Outputs:
        """What the PLC is shown now."""
        valid = self.phase is Phase.RESULT and self.answer is not None
        condition = next(iter(self.conditions.values()), None)
        shown = self.answer.code if valid and self.answer is not None else (condition or self.idle_code)
        if self.phase in BUSY:
            shown = Code.JUDGED
        return Outputs(
            phase=self.phase,
            ready=self.phase in (Phase.READY, Phase.RESULT) and condition is None,
            result_valid=valid,
            code=shown,
            fault=shown is not Code.JUDGED or condition is not None,
            answer=self.answer if valid else None,
            trigger_id=self.cycle.request.trigger_id if self.cycle is not None else 0,
            recipe=self.cycle.request.recipe if self.cycle is not None else "",
            result=self.result,
            heartbeat=self.heartbeat,
            refused=self._refused,
            refused_trigger_id=self._refused_id,
            refused_code=self._refused_code,
            faults=self._faults,
        )

    def advance(self, now: float) -> list[Effect]:
        """The time is `now`, or what it was if that is later: what is over its window gets its answer."""
        noted: list[Effect] = [Noted("clock_back")] if now < self._now else []
        self._now = max(self._now, now)
        if self.phase in BUSY and self.cycle is not None and self._now >= self.cycle.deadline:
            late = Code.PICTURE_LATE if self.phase is Phase.ACQUIRING else Code.VERDICT_LATE
            return noted + self.reject(self.cycle.spoiled or late)
        if self.phase is Phase.RESULT and self.answer_deadline is not None and self._now >= self.answer_deadline:
            return noted + self.withdraw(Code.ANSWER_LATE)
        return noted

    def is_running(self, cycle: int, phase: Phase) -> bool:
        """Whether that cycle is the running one, and in that phase."""
        return self.phase is phase and self.cycle is not None and self.cycle.number == cycle

    def why_not(self, request: TriggerRequest) -> Code | None:
        """Why this trigger may not start a cycle."""
        if self.phase is Phase.STOPPED:
            return Code.STOPPED if self.idle_code is Code.STOPPED else Code.STARTED
        if self.conditions:
            return next(iter(self.conditions.values()))
        if not 0 <= request.trigger_id <= 0xFFFFFFFF:
            return Code.COMMAND_INVALID
        return None if request.recipe in self.products else Code.RECIPE_UNKNOWN

    def begin(self, request: TriggerRequest) -> Cycle:
        """A trigger of its own: its window runs from now on."""
        self._cycles += 1
        product = self.products.get(request.recipe, "")
        self.cycle = Cycle(self._cycles, request, product, self._now, self._now + self._window_s)
        return self.cycle

    def refuse(self, request: TriggerRequest, code: Code) -> list[Effect]:
        """A trigger beside the running cycle. The picture that is still to come could be of either part, and an id
        that comes twice names both: then the running cycle has no OK any more."""
        running = self.cycle
        assert running is not None
        self._cycles += 1
        self._faults = next_count(self._faults)
        self._refused, self._refused_id, self._refused_code = next_count(self._refused), request.trigger_id, code
        if self.phase is Phase.ACQUIRING or request.trigger_id == running.request.trigger_id:
            self.cycle = replace(running, spoiled=Code.TRIGGER_WHILE_BUSY)
        product = self.products.get(request.recipe, "")
        answer = Answer(
            self._cycles, request.trigger_id, request.part_id, request.recipe, product, Decision.REJECT, code
        )
        return [Noted("double_trigger"), Answered(answer, refused=True)]

    def leave_result(self) -> list[Effect]:
        """The result, if any, is shown no longer."""
        unacknowledged: list[Effect] = [Noted("unacknowledged")] if self.phase is Phase.RESULT else []
        self.answer, self.answer_deadline = None, None
        return unacknowledged

    def reject(self, code: Code) -> list[Effect]:
        """The cycle's answer without a verdict."""
        self._faults = next_count(self._faults)
        return self._show(self._made(Decision.REJECT, code))

    def accept(self, verdict: GatewayVerdict) -> list[Effect]:
        """The cycle's answer by a sound verdict."""
        answer = replace(
            self._made(Decision(verdict.decision), Code.JUDGED),
            score=verdict.score,
            threshold=verdict.threshold,
            version=verdict.version,
            method=verdict.method,
            artifact=verdict.artifact,
            request_id=verdict.request_id,
        )
        return self._show(answer)

    def _made(self, decision: Decision, code: Code) -> Answer:
        cycle = self.cycle
        assert cycle is not None
        request, seconds = cycle.request, self._now - cycle.started
        return Answer(
            cycle.number,
            request.trigger_id,
            request.part_id,
            request.recipe,
            cycle.product,
            decision,
            code,
            seconds=seconds,
        )

    def _show(self, answer: Answer) -> list[Effect]:
        assert self.cycle is not None
        stopped = self.phase is Phase.STOPPED
        self.result = next_count(self.result)
        if not stopped:
            self.phase, self.answer, self.answer_deadline = Phase.RESULT, answer, self.cycle.deadline
        if answer.decision is Decision.REJECT:
            self.answer_deadline = None  # a REJECT that comes late is still a REJECT
        return [Answered(answer)]

    def withdraw(self, code: Code) -> list[Effect]:
        """What is shown becomes REJECT; the result's number changes with it."""
        assert self.answer is not None
        self.answer_deadline = None
        if self.answer.decision is Decision.REJECT:
            return []
        self._faults = next_count(self._faults)
        self.result = next_count(self.result)
        self.answer = replace(self.answer, decision=Decision.REJECT, code=code, score=None, threshold=None)
        return [Withdrawn(self.answer)]


def next_count(count: int) -> int:
    """Counters go from the largest word to 1."""
    return 1 if count >= LARGEST_COUNT else count + 1
