"""The handshake of one inspection station as a state machine: events and times go in, effects come out.

It does no input or output and reads no clock. Each method takes the present time in seconds of a clock that should not
go back; where it does, the largest time so far holds. Each trigger gets exactly one `Answered` effect: the verdict that
came within the window, or REJECT with a code that this machine raises itself. Pictures and verdicts carry the number of
their cycle, so that what comes late can never answer for another part.

    STOPPED -> READY -> ACQUIRING -> JUDGING -> RESULT -> READY
"""

from __future__ import annotations

from collections.abc import Mapping

from service.gateway.codes import Code
from service.gateway.events import Acquire, Effect, Noted, Phase, TriggerRequest
from service.gateway.judge import GatewayVerdict
from service.gateway.outputs_view import Outputs
from service.gateway.station_state import BUSY, StationState, next_count


class Station:
    """One station. `products` maps recipes to products; `window_s` is the time from a trigger to its answer."""

    def __init__(self, products: Mapping[str, str], window_s: float) -> None:
        self._state = StationState(products, window_s)

    # --- the gateway's own life

    def start(self, now: float) -> list[Effect]:
        """From now on triggers are taken. Until the first answer the code is STARTED."""
        noted = self._state.advance(now)
        if self._state.phase is Phase.STOPPED:
            self._state.phase = Phase.READY
            self._state.idle_code = Code.STARTED
        return noted

    def stop(self, now: float) -> list[Effect]:
        """A running cycle is answered by STOPPED and what is shown becomes the fail-safe value."""
        effects = self._state.advance(now)
        if self._state.phase in BUSY:
            effects += self._state.reject(Code.STOPPED)
        self._state.phase, self._state.answer, self._state.answer_deadline = Phase.STOPPED, None, None
        self._state.idle_code = Code.STOPPED
        return effects

    def condition(self, now: float, name: str, code: Code | None) -> list[Effect]:
        """While `code` is not None the station is not ready: triggers are answered at once by REJECT with it."""
        if code is None:
            self._state.conditions.pop(name, None)
        else:
            self._state.conditions[name] = code
        return self._state.advance(now)

    def beat(self, now: float) -> list[Effect]:
        """Counts the heartbeat up."""
        self._state.heartbeat = next_count(self._state.heartbeat)
        return self._state.advance(now)

    # --- from the PLC

    def trigger(self, now: float, request: TriggerRequest) -> list[Effect]:
        """A trigger: starts a cycle, or is answered at once where it may not."""
        effects = self._state.advance(now)
        if self._state.phase in BUSY:
            return effects + self._state.refuse(request, Code.TRIGGER_WHILE_BUSY)
        code = self._state.why_not(request)
        effects += self._state.leave_result()
        cycle = self._state.begin(request)
        if code is not None:
            return effects + self._state.reject(code)
        self._state.phase = Phase.ACQUIRING
        return [*effects, Acquire(cycle.number, request, cycle.product, cycle.deadline)]

    def reject(self, now: float, request: TriggerRequest, code: Code) -> list[Effect]:
        """A trigger that must not be judged, whatever the state: it is answered by REJECT with `code`."""
        effects = self._state.advance(now)
        if self._state.phase in BUSY:
            return effects + self._state.refuse(request, code)
        effects += self._state.leave_result()
        self._state.begin(request)
        return effects + self._state.reject(code)

    def acknowledge(self, now: float, result: int | None = None) -> list[Effect]:
        """The PLC has taken the result (of that number, where it says one). Any other acknowledgement is counted."""
        effects = self._state.advance(now)
        if self._state.phase is not Phase.RESULT or result not in (None, self._state.result):
            return [*effects, Noted("stray_acknowledgement")]
        self._state.phase, self._state.answer, self._state.answer_deadline = Phase.READY, None, None
        self._state.idle_code = Code.JUDGED
        return effects

    def abort(self, now: float) -> list[Effect]:
        """Ends a running cycle by ABORTED."""
        effects = self._state.advance(now)
        return effects + self._state.reject(Code.ABORTED) if self._state.phase in BUSY else effects

    def delivered(self, now: float, result: int) -> list[Effect]:
        """The result of that number has reached the PLC. Where that was after the window, it is withdrawn."""
        effects = self._state.advance(now)
        if self._state.phase is not Phase.RESULT or result != self._state.result or self._state.answer_deadline is None:
            return effects
        self._state.answer_deadline = None
        return effects

    def link_lost(self, now: float, code: Code = Code.LINK_LOST) -> list[Effect]:
        """The PLC cannot be reached: the running cycle, or a result that nobody has acknowledged, becomes REJECT."""
        effects = self._state.advance(now)
        if "link" not in self._state.conditions:
            effects.append(Noted("link_lost"))
        self._state.conditions["link"] = code
        if self._state.phase in BUSY:
            effects += self._state.reject(code)
        elif self._state.phase is Phase.RESULT:
            effects += self._state.withdraw(code)
        self._state.answer_deadline = None
        return effects

    def link_found(self, now: float) -> list[Effect]:
        """The PLC can be reached again."""
        effects = self._state.advance(now)
        if self._state.conditions.pop("link", None) is not None:
            effects.append(Noted("link_found"))
        return effects

    # --- from the source of pictures and from the judge

    def picture(self, now: float, cycle: int) -> list[Effect]:
        """The picture of that cycle is there; where the phase is JUDGING then, it is to be judged."""
        effects = self._state.advance(now)
        if not self._state.is_running(cycle, Phase.ACQUIRING):
            return [*effects, Noted("late_picture")]
        if self._state.cycle is not None and self._state.cycle.spoiled is not None:
            return effects + self._state.reject(self._state.cycle.spoiled)
        self._state.phase = Phase.JUDGING
        return effects

    def picture_failed(self, now: float, cycle: int, code: Code) -> list[Effect]:
        """There will be no picture for that cycle."""
        effects = self._state.advance(now)
        if not self._state.is_running(cycle, Phase.ACQUIRING):
            return [*effects, Noted("late_picture")]
        return effects + self._state.reject(code)

    def verdict(self, now: float, cycle: int, verdict: GatewayVerdict) -> list[Effect]:
        """The verdict of that cycle: it becomes the answer where it is sound and within the window."""
        effects = self._state.advance(now)
        running = self._state.cycle
        if running is None or not self._state.is_running(cycle, Phase.JUDGING):
            return [*effects, Noted("late_verdict")]
        code = running.spoiled or verdict.fault(running.product)
        return effects + (self._state.reject(code) if code is not None else self._state.accept(verdict))

    def verdict_failed(self, now: float, cycle: int, code: Code) -> list[Effect]:
        """There will be no verdict for that cycle."""
        effects = self._state.advance(now)
        if not self._state.is_running(cycle, Phase.JUDGING):
            return [*effects, Noted("late_verdict")]
        return effects + self._state.reject(code)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: what is over its window is answered."""
        return self._state.advance(now)

    # --- what is seen from outside

    @property
    def phase(self) -> Phase:
        return self._state.phase

    def conditions(self) -> dict[str, Code]:
        """Why the station is not ready, by what is wrong."""
        return dict(self._state.conditions)

    def has_recipe(self, recipe: str) -> bool:
        """Whether the recipe is in the station's table."""
        return recipe in self._state.products

    @property
    def cycle(self) -> int | None:
        """The number of the running cycle."""
        return self._state.cycle.number if self._state.cycle is not None and self._state.phase in BUSY else None

    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest, in the station's time."""
        if self._state.phase in BUSY and self._state.cycle is not None:
            return self._state.cycle.deadline
        return self._state.answer_deadline if self._state.phase is Phase.RESULT else None

    def outputs(self) -> Outputs:
        """What the PLC is shown now."""
        return self._state.outputs()
