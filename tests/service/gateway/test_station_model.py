"""No order of events whatever ends in an OK that belongs to another part, comes late, or has no verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.gateway.codes import Code
from service.gateway.events import Acquire, Answered, Decision, Effect, Phase, TriggerRequest, Withdrawn
from service.gateway.handshake import Command, Handshake
from service.gateway.judge import GatewayVerdict
from service.gateway.station import Station

WINDOW_S = 1.0
PRODUCTS = {"1": "bolt", "2": "tile"}
DISTURBANCES = ["stale", "no picture", "no verdict", "abort", "link", "condition", "clock", "stop", "kill"]
CYCLES = st.integers(1, 12)
VERDICTS = st.builds(
    GatewayVerdict,
    product=st.sampled_from(["bolt", "tile"]),
    decision=st.sampled_from(["OK", "OK", "REVIEW", "NG"]),
    score=st.sampled_from([1.0, 3.0, float("nan")]),
    threshold=st.just(2.0),
)


@dataclass
class Known:
    """What the test itself has seen of one cycle."""

    request: TriggerRequest
    product: str
    deadline: float
    pictured: bool = False
    ok_given: bool = False
    doubled: bool = False
    answers: list[Decision] = field(default_factory=list)


class StationMachine(RuleBasedStateMachine):
    """Drives a station by events in any order and keeps books of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.part = 0
        self.begin()

    def begin(self) -> None:
        self.station = Station(PRODUCTS, WINDOW_S)
        self.known: dict[int, Known] = {}
        self.triggers = self.refusals = self.firsts = 0
        self.started = False
        self.start()

    # --- events

    def start(self) -> None:
        self.take(self.station.start(self.now))
        self.started = True

    @rule(recipe=st.sampled_from(["1", "2", "7"]), again=st.booleans())
    def trigger(self, recipe: str, again: bool) -> None:
        self.part += 0 if again else 1
        running = self.running()
        if running is not None and self.now < running.deadline:
            running.doubled = running.doubled or not running.pictured or running.request.trigger_id == self.part
        self.triggers += 1
        self.take(self.station.trigger(self.now, TriggerRequest(self.part, recipe)))

    def stale_trigger(self) -> None:
        self.part += 1
        running = self.running()
        if running is not None and self.now < running.deadline:
            running.doubled = running.doubled or not running.pictured
        self.triggers += 1
        self.take(self.station.reject(self.now, TriggerRequest(self.part, "1"), Code.TRIGGER_BEFORE_START))

    @rule(cycle=CYCLES)
    def any_picture(self, cycle: int) -> None:
        self.picture(cycle)

    @rule()
    def right_picture(self) -> None:
        self.picture(self.station.cycle or 0)

    def picture(self, cycle: int) -> None:
        known = self.known.get(cycle)
        if known is not None and self.station.cycle == cycle and self.now < known.deadline:
            known.pictured = True
        self.take(self.station.picture(self.now, cycle))

    def picture_fails(self, cycle: int) -> None:
        self.take(self.station.picture_failed(self.now, cycle, Code.CAMERA_LOST))

    @rule(cycle=CYCLES, verdict=VERDICTS)
    def any_verdict(self, cycle: int, verdict: GatewayVerdict) -> None:
        self.verdict(cycle, verdict)

    @rule(verdict=VERDICTS)
    def verdict_of_the_cycle(self, verdict: GatewayVerdict) -> None:
        self.verdict(self.station.cycle or 0, verdict)

    @rule()
    def good_verdict(self) -> None:
        cycle = self.station.cycle or 0
        product = self.known[cycle].product if cycle in self.known else "bolt"
        self.verdict(cycle, GatewayVerdict(product, "OK", 1.0, 2.0))

    def verdict(self, cycle: int, verdict: GatewayVerdict) -> None:
        known = self.known.get(cycle)
        if known is not None and known.pictured and self.now < known.deadline and not known.answers:
            sound = verdict.decision == "OK" and verdict.score == 1.0 and verdict.product == known.product
            known.ok_given = known.ok_given or (sound and not known.doubled)
        self.take(self.station.verdict(self.now, cycle, verdict))

    def verdict_fails(self, cycle: int) -> None:
        self.take(self.station.verdict_failed(self.now, cycle, Code.SERVICE_UNREACHABLE))

    @rule(result=st.one_of(st.none(), st.integers(0, 4)))
    def acknowledge(self, result: int | None) -> None:
        shown = self.station.outputs()
        self.take(self.station.acknowledge(self.now, result))
        if result in (None, shown.result):
            assert not self.station.outputs().result_valid or self.station.outputs().result != shown.result

    @rule()
    def deliver(self) -> None:
        self.take(self.station.delivered(self.now, self.station.outputs().result))

    def abort(self) -> None:
        self.take(self.station.abort(self.now))

    @rule(
        what=st.sampled_from(DISTURBANCES),
        cycle=CYCLES,
        lasting=st.sampled_from([False, False, False, True]),
    )
    def disturbance(self, what: str, cycle: int, lasting: bool) -> None:
        """One rule for all that is rare, so that whole cycles stay likely."""
        if what == "stale":
            self.stale_trigger()
        elif what == "no picture":
            self.picture_fails(cycle)
        elif what == "no verdict":
            self.verdict_fails(cycle)
        elif what == "abort":
            self.abort()
        elif what == "link":
            self.take(self.station.link_lost(self.now))
            self.take([] if lasting else self.station.link_found(self.now))
        elif what == "condition":
            self.take(self.station.condition(self.now, "camera", Code.CAMERA_LOST))
            self.take([] if lasting else self.station.condition(self.now, "camera", None))
        elif what == "clock":
            self.take(self.station.tick(self.now - 10.0))
        else:
            self.ends(orderly=what == "stop")

    @rule()
    def all_is_well_again(self) -> None:
        self.take(self.station.link_found(self.now))
        self.take(self.station.condition(self.now, "camera", None))

    @rule(seconds=st.sampled_from([0.1, 0.5, 0.999, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        """Without a tick: what comes next must find out by itself that it is late."""
        self.now += seconds

    @rule()
    def tick(self) -> None:
        self.take(self.station.tick(self.now))
        running = self.running()
        assert running is None or self.now < running.deadline

    @rule()
    def part_is_pictured(self) -> None:
        """A trigger of the product of recipe 1 that gets its picture."""
        self.trigger("1", again=False)
        self.picture(self.station.cycle or 0)

    @rule(back=st.integers(0, 2))
    def good_verdict_of_a_part_before(self, back: int) -> None:
        cycle = max(self.known, default=0) - back
        product = self.known[cycle].product if cycle in self.known else "bolt"
        self.verdict(cycle, GatewayVerdict(product, "OK", 1.0, 2.0))

    def ends(self, *, orderly: bool) -> None:
        if orderly:
            self.take(self.station.stop(self.now))
            assert self.triggers == self.firsts + self.refusals
            assert self.station.outputs().ng
        self.begin()
        assert self.station.outputs().ng
        assert not self.station.outputs().result_valid

    # --- the books

    def running(self) -> Known | None:
        return self.known.get(self.station.cycle or 0)

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Acquire):
                self.known[effect.cycle] = Known(effect.request, effect.product, effect.deadline)
            elif isinstance(effect, Answered):
                self.count(effect)
            elif isinstance(effect, Withdrawn):
                assert effect.answer.decision is Decision.REJECT

    def count(self, effect: Answered) -> None:
        answer = effect.answer
        if effect.refused:
            self.refusals += 1
            assert answer.decision is Decision.REJECT
            return
        self.firsts += 1
        if answer.cycle not in self.known:
            assert answer.decision is Decision.REJECT
            return
        self.known[answer.cycle].answers.append(answer.decision)

    @invariant()
    def every_trigger_has_one_answer_or_runs(self) -> None:
        assert all(len(known.answers) <= 1 for known in self.known.values())
        assert self.triggers == self.firsts + self.refusals + (self.station.cycle is not None)

    @invariant()
    def one_bit_is_set_and_it_is_ng_without_a_result(self) -> None:
        shown = self.station.outputs()
        assert shown.ok + shown.review + shown.ng == 1
        assert shown.ng or shown.result_valid
        assert (shown.code is Code.JUDGED) or shown.ng

    @invariant()
    def an_ok_has_a_sound_verdict_of_this_part_in_time(self) -> None:
        shown = self.station.outputs()
        if not shown.ok:
            return
        assert shown.answer is not None
        assert self.started
        known = self.known[shown.answer.cycle]
        assert known.ok_given
        assert not known.doubled
        assert known.request.trigger_id == shown.trigger_id == shown.answer.trigger_id
        assert shown.answer.product == known.product
        assert shown.answer.cycle == max(self.known)
        assert shown.answer.seconds < WINDOW_S

    @invariant()
    def a_deadline_is_known_while_it_matters(self) -> None:
        if self.station.phase in (Phase.ACQUIRING, Phase.JUDGING):
            assert self.station.next_deadline() is not None


class LevelMachine(RuleBasedStateMachine):
    """The same by levels in registers, as a PLC holds them: nothing but a rising edge in a living connection starts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.station = Station(PRODUCTS, WINDOW_S)
        self.station.start(0.0)
        self.handshake = Handshake(self.station, silent_after_s=2.0)
        self.level = Command()
        self.connected = False
        self.edge = False
        self.answered = 0
        self.raised = 0
        self.fresh: set[int] = set()

    @rule(
        trigger=st.booleans(),
        acknowledge=st.booleans(),
        abort=st.sampled_from([False, False, False, True]),
        beats=st.booleans(),
        recipe=st.sampled_from(["1", "2", "9"]),
        trigger_id=st.integers(0, 3),
    )
    def sample(self, trigger: bool, acknowledge: bool, abort: bool, beats: bool, recipe: str, trigger_id: int) -> None:
        last, first = self.level, not self.connected
        beat = (last.heartbeat + beats) & 0xFFFF
        self.level = Command(trigger, acknowledge, abort, beat, recipe, trigger_id)
        new = trigger and (first or not last.trigger or last.trigger_id != trigger_id)
        self.raised += new
        self.connected = True
        effects = self.handshake.sample(self.now, self.level)
        started = [effect for effect in effects if isinstance(effect, Acquire)]
        assert not started or (trigger and not first and not last.trigger)
        self.fresh |= {effect.cycle for effect in started}
        self.take(effects)

    @rule()
    def lose(self) -> None:
        self.connected = False
        self.take(self.handshake.lost(self.now))

    @rule(seconds=st.sampled_from([0.1, 0.9, 2.5]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.station.tick(self.now))
        self.take(self.handshake.check(self.now))

    @rule()
    def judged_good(self) -> None:
        cycle = self.station.cycle or 0
        self.take(self.station.picture(self.now, cycle))
        product = PRODUCTS.get(self.station.outputs().recipe, "")
        self.take(self.station.verdict(self.now, cycle, GatewayVerdict(product, "OK", 1.0, 2.0)))

    def take(self, effects: list[Effect]) -> None:
        self.answered += sum(isinstance(effect, Answered) for effect in effects)

    @invariant()
    def every_new_trigger_level_is_answered_once(self) -> None:
        assert self.raised == self.answered + (self.station.cycle is not None)

    @invariant()
    def an_ok_is_of_a_fresh_trigger_in_a_living_connection(self) -> None:
        shown = self.handshake.outputs()
        if shown.ok:
            assert self.connected
            assert shown.answer is not None
            assert shown.answer.cycle in self.fresh

    @invariant()
    def not_ready_while_the_trigger_is_held(self) -> None:
        shown = self.handshake.outputs()
        assert not (shown.ready and self.connected and self.level.trigger)


TestStation = StationMachine.TestCase
TestStation.settings = settings(
    max_examples=250, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLevels = LevelMachine.TestCase
TestLevels.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
