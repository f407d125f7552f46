"""The handshake of one inspection station as a state machine: events and times go in, effects come out.

It does no input or output and reads no clock. Each method takes the present time in seconds of a clock that should not
go back; where it does, the largest time so far holds. Each trigger gets exactly one `Answered` effect: the verdict that
came within the window, or REJECT with a code that this machine raises itself. Pictures and verdicts carry the number of
their cycle, so that what comes late can never answer for another part.

    STOPPED -> READY -> ACQUIRING -> JUDGING -> RESULT -> READY
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.gateway.codes import Code
from service.gateway.events import (
    Acquire,
    Answer,
    Answered,
    Decision,
    Effect,
    Noted,
    Phase,
    TriggerRequest,
    Withdrawn,
)
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


class Station:
    """One station. `products` maps recipes to products; `window_s` is the time from a trigger to its answer."""

    def __init__(self, products: Mapping[str, str], window_s: float) -> None:
        self._products = dict(products)
        self._window_s = window_s
        self._now = float("-inf")
        self._phase = Phase.STOPPED
        self._cycle: Cycle | None = None
        self._cycles = 0
        self._answer: Answer | None = None
        self._answer_deadline: float | None = None  # until the answer has reached the PLC
        self._conditions: dict[str, Code] = {}
        self._idle_code = Code.STARTED
        self._result = self._heartbeat = self._faults = self._refused = self._refused_id = 0
        self._refused_code = Code.JUDGED

    # --- the gateway's own life

    def start(self, now: float) -> list[Effect]:
        """From now on triggers are taken. Until the first answer the code is STARTED."""
        noted = self._advance(now)
        if self._phase is Phase.STOPPED:
            self._phase = Phase.READY
            self._idle_code = Code.STARTED
        return noted

    def stop(self, now: float) -> list[Effect]:
        """A running cycle is answered by STOPPED and what is shown becomes the fail-safe value."""
        effects = self._advance(now)
        if self._phase in BUSY:
            effects += self._reject(Code.STOPPED)
        self._phase, self._answer, self._answer_deadline = Phase.STOPPED, None, None
        self._idle_code = Code.STOPPED
        return effects

    def condition(self, now: float, name: str, code: Code | None) -> list[Effect]:
        """While `code` is not None the station is not ready: triggers are answered at once by REJECT with it."""
        if code is None:
            self._conditions.pop(name, None)
        else:
            self._conditions[name] = code
        return self._advance(now)

    def beat(self, now: float) -> list[Effect]:
        """Counts the heartbeat up."""
        self._heartbeat = _next(self._heartbeat)
        return self._advance(now)

    # --- from the PLC

    def trigger(self, now: float, request: TriggerRequest) -> list[Effect]:
        """A trigger: starts a cycle, or is answered at once where it may not."""
        effects = self._advance(now)
        if self._phase in BUSY:
            return effects + self._refuse(request, Code.TRIGGER_WHILE_BUSY)
        code = self._why_not(request)
        effects += self._leave_result()
        cycle = self._begin(request)
        if code is not None:
            return effects + self._reject(code)
        self._phase = Phase.ACQUIRING
        return [*effects, Acquire(cycle.number, request, cycle.product, cycle.deadline)]

    def reject(self, now: float, request: TriggerRequest, code: Code) -> list[Effect]:
        """A trigger that must not be judged, whatever the state: it is answered by REJECT with `code`."""
        effects = self._advance(now)
        if self._phase in BUSY:
            return effects + self._refuse(request, code)
        effects += self._leave_result()
        self._begin(request)
        return effects + self._reject(code)

    def acknowledge(self, now: float, result: int | None = None) -> list[Effect]:
        """The PLC has taken the result (of that number, where it says one). Any other acknowledgement is counted."""
        effects = self._advance(now)
        if self._phase is not Phase.RESULT or result not in (None, self._result):
            return [*effects, Noted("stray_acknowledgement")]
        self._phase, self._answer, self._answer_deadline = Phase.READY, None, None
        self._idle_code = Code.JUDGED
        return effects

    def abort(self, now: float) -> list[Effect]:
        """Ends a running cycle by ABORTED."""
        effects = self._advance(now)
        return effects + self._reject(Code.ABORTED) if self._phase in BUSY else effects

    def delivered(self, now: float, result: int) -> list[Effect]:
        """The result of that number has reached the PLC. Where that was after the window, it is withdrawn."""
        effects = self._advance(now)
        if self._phase is not Phase.RESULT or result != self._result or self._answer_deadline is None:
            return effects
        self._answer_deadline = None
        return effects

    def link_lost(self, now: float, code: Code = Code.LINK_LOST) -> list[Effect]:
        """The PLC cannot be reached: the running cycle, or a result that nobody has acknowledged, becomes REJECT."""
        effects = self._advance(now)
        if "link" not in self._conditions:
            effects.append(Noted("link_lost"))
        self._conditions["link"] = code
        if self._phase in BUSY:
            effects += self._reject(code)
        elif self._phase is Phase.RESULT:
            effects += self._withdraw(code)
        self._answer_deadline = None
        return effects

    def link_found(self, now: float) -> list[Effect]:
        """The PLC can be reached again."""
        effects = self._advance(now)
        if self._conditions.pop("link", None) is not None:
            effects.append(Noted("link_found"))
        return effects

    # --- from the source of pictures and from the judge

    def picture(self, now: float, cycle: int) -> list[Effect]:
        """The picture of that cycle is there; where the phase is JUDGING then, it is to be judged."""
        effects = self._advance(now)
        if not self._is_running(cycle, Phase.ACQUIRING):
            return [*effects, Noted("late_picture")]
        if self._cycle is not None and self._cycle.spoiled is not None:
            return effects + self._reject(self._cycle.spoiled)
        self._phase = Phase.JUDGING
        return effects

    def picture_failed(self, now: float, cycle: int, code: Code) -> list[Effect]:
        """There will be no picture for that cycle."""
        effects = self._advance(now)
        if not self._is_running(cycle, Phase.ACQUIRING):
            return [*effects, Noted("late_picture")]
        return effects + self._reject(code)

    def verdict(self, now: float, cycle: int, verdict: GatewayVerdict) -> list[Effect]:
        """The verdict of that cycle: it becomes the answer where it is sound and within the window."""
        effects = self._advance(now)
        running = self._cycle
        if running is None or not self._is_running(cycle, Phase.JUDGING):
            return [*effects, Noted("late_verdict")]
        code = running.spoiled or verdict.fault(running.product)
        return effects + (self._reject(code) if code is not None else self._accept(verdict))

    def verdict_failed(self, now: float, cycle: int, code: Code) -> list[Effect]:
        """There will be no verdict for that cycle."""
        effects = self._advance(now)
        if not self._is_running(cycle, Phase.JUDGING):
            return [*effects, Noted("late_verdict")]
        return effects + self._reject(code)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: what is over its window is answered."""
        return self._advance(now)

    # --- what is seen from outside

    @property
    def phase(self) -> Phase:
        return self._phase

    def conditions(self) -> dict[str, Code]:
        """Why the station is not ready, by what is wrong."""
        return dict(self._conditions)

    def has_recipe(self, recipe: str) -> bool:
        """Whether the recipe is in the station's table."""
        return recipe in self._products

    @property
    def cycle(self) -> int | None:
        """The number of the running cycle."""
        return self._cycle.number if self._cycle is not None and self._phase in BUSY else None

    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest, in the station's time."""
        if self._phase in BUSY and self._cycle is not None:
            return self._cycle.deadline
        return self._answer_deadline if self._phase is Phase.RESULT else None

    def outputs(self) -> Outputs:
        """What the PLC is shown now."""
        valid = self._phase is Phase.RESULT and self._answer is not None
        condition = next(iter(self._conditions.values()), None)
        shown = self._answer.code if valid and self._answer is not None else (condition or self._idle_code)
        if self._phase in BUSY:
            shown = Code.JUDGED
        return Outputs(
            phase=self._phase,
            ready=self._phase in (Phase.READY, Phase.RESULT) and condition is None,
            result_valid=valid,
            code=shown,
            fault=shown is not Code.JUDGED or condition is not None,
            answer=self._answer if valid else None,
            trigger_id=self._cycle.request.trigger_id if self._cycle is not None else 0,
            recipe=self._cycle.request.recipe if self._cycle is not None else "",
            result=self._result,
            heartbeat=self._heartbeat,
            refused=self._refused,
            refused_trigger_id=self._refused_id,
            refused_code=self._refused_code,
            faults=self._faults,
        )

    # --- inside

    def _advance(self, now: float) -> list[Effect]:
        noted: list[Effect] = [Noted("clock_back")] if now < self._now else []
        self._now = max(self._now, now)
        if self._phase in BUSY and self._cycle is not None and self._now >= self._cycle.deadline:
            late = Code.PICTURE_LATE if self._phase is Phase.ACQUIRING else Code.VERDICT_LATE
            return noted + self._reject(self._cycle.spoiled or late)
        if self._phase is Phase.RESULT and self._answer_deadline is not None and self._now >= self._answer_deadline:
            return noted + self._withdraw(Code.ANSWER_LATE)
        return noted

    def _is_running(self, cycle: int, phase: Phase) -> bool:
        return self._phase is phase and self._cycle is not None and self._cycle.number == cycle

    def _why_not(self, request: TriggerRequest) -> Code | None:
        if self._phase is Phase.STOPPED:
            return Code.STOPPED if self._idle_code is Code.STOPPED else Code.STARTED
        if self._conditions:
            return next(iter(self._conditions.values()))
        if not 0 <= request.trigger_id <= 0xFFFFFFFF:
            return Code.COMMAND_INVALID
        return None if request.recipe in self._products else Code.RECIPE_UNKNOWN

    def _begin(self, request: TriggerRequest) -> Cycle:
        self._cycles += 1
        product = self._products.get(request.recipe, "")
        self._cycle = Cycle(self._cycles, request, product, self._now, self._now + self._window_s)
        return self._cycle

    def _refuse(self, request: TriggerRequest, code: Code) -> list[Effect]:
        """A trigger beside the running cycle. The picture that is still to come could be of either part, and an id
        that comes twice names both: then the running cycle has no OK any more."""
        running = self._cycle
        assert running is not None
        self._cycles += 1
        self._faults = _next(self._faults)
        self._refused, self._refused_id, self._refused_code = _next(self._refused), request.trigger_id, code
        if self._phase is Phase.ACQUIRING or request.trigger_id == running.request.trigger_id:
            self._cycle = replace(running, spoiled=Code.TRIGGER_WHILE_BUSY)
        product = self._products.get(request.recipe, "")
        answer = Answer(
            self._cycles, request.trigger_id, request.part_id, request.recipe, product, Decision.REJECT, code
        )
        return [Noted("double_trigger"), Answered(answer, refused=True)]

    def _leave_result(self) -> list[Effect]:
        unacknowledged: list[Effect] = [Noted("unacknowledged")] if self._phase is Phase.RESULT else []
        self._answer, self._answer_deadline = None, None
        return unacknowledged

    def _reject(self, code: Code) -> list[Effect]:
        self._faults = _next(self._faults)
        return self._show(self._made(Decision.REJECT, code))

    def _accept(self, verdict: GatewayVerdict) -> list[Effect]:
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
        cycle = self._cycle
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
        assert self._cycle is not None
        stopped = self._phase is Phase.STOPPED
        self._result = _next(self._result)
        if not stopped:
            self._phase, self._answer, self._answer_deadline = Phase.RESULT, answer, self._cycle.deadline
        if answer.decision is Decision.REJECT:
            self._answer_deadline = None  # a REJECT that comes late is still a REJECT
        return [Answered(answer)]

    def _withdraw(self, code: Code) -> list[Effect]:
        """What is shown becomes REJECT; the result's number changes with it."""
        assert self._answer is not None
        self._answer_deadline = None
        if self._answer.decision is Decision.REJECT:
            return []
        self._faults = _next(self._faults)
        self._result = _next(self._result)
        self._answer = replace(self._answer, decision=Decision.REJECT, code=code, score=None, threshold=None)
        return [Withdrawn(self._answer)]


def _next(count: int) -> int:
    return 1 if count >= LARGEST_COUNT else count + 1
