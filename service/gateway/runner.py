"""Runs one station: feeds its state machine with times, pictures and verdicts, and tells links and observers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from service.gateway.codes import Code
from service.gateway.display import Display
from service.gateway.events import Acquire, Answer, Answered, Effect, Noted, Phase, TriggerRequest, Withdrawn
from service.gateway.handshake import Command, Handshake
from service.gateway.judge import Judge
from service.gateway.metrics import LineMetrics
from service.gateway.outputs_view import Outputs
from service.gateway.part_inspection import PartInspection
from service.gateway.picture import Picture
from service.gateway.ports import Observer, Source
from service.gateway.reporter import Reporter
from service.gateway.station import Station
from service.gateway.watch import Watch


class StationRunner:
    """One station at work. All methods belong to the thread of the event loop that runs it."""

    def __init__(
        self,
        name: str,
        station: Station,
        source: Source | None,
        judge: Judge,
        metrics: LineMetrics,
        *,
        run: str,
        heartbeat_s: float = 0.5,
        plc_silent_after_s: float = 0.0,
        any_size: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.name = name
        self.metrics = metrics
        self.handshake = Handshake(station, plc_silent_after_s)
        self.display = Display(name, metrics, self.outputs)
        self._station = station
        self._source = source
        self._judge = judge
        self._heartbeat_s = heartbeat_s
        self._reporter = Reporter(name, metrics, observers)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._cycles: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._decided_at = 0.0
        self._background: list[asyncio.Task[None]] = []
        self._watch = Watch(name, metrics, self.condition)
        self._part = PartInspection(
            name, station, source, judge, metrics, self._watch, self._do, run, any_size=any_size
        )
        metrics.station(name)
        # Not ready before the PLC has been seen once: a trigger that is found raised is of nobody knows when.
        station.condition(time.monotonic(), "link", Code.LINK_LOST)

    # --- life

    async def start(self, *, watch_service_s: float = 1.0, watch_camera_s: float = 1.0) -> None:
        """Opens the source, then takes triggers. A camera or service that is not there yet is waited for."""
        self._background.append(asyncio.create_task(self._beat()))
        if self._source is not None:
            await self._watch.camera_once(self._source)
            self._background.append(asyncio.create_task(self._watch.camera(self._source, self.busy, watch_camera_s)))
        await self._watch.service_once(self._judge)
        self._background.append(asyncio.create_task(self._watch.service(self._judge, watch_service_s)))
        self._do(self._station.start(time.monotonic()))

    async def stop(self) -> None:
        """Answers what runs by STOPPED, shows the fail-safe value and closes the source."""
        self._do(self._station.stop(time.monotonic()))
        for task in (*self._background, *self._cycles.values()):
            task.cancel()
        await asyncio.gather(*self._background, *self._cycles.values(), return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._source is not None:
            await self._source.close()

    # --- for links

    def outputs(self) -> Outputs:
        """What the PLC is shown now."""
        return self.handshake.outputs()

    def sample(self, command: Command) -> None:
        """The PLC's levels as a link has just read them."""
        now = time.monotonic()
        self.metrics.set("mkd_line_connected", 1, station=self.name, peer="plc")
        self._do(self.handshake.sample(now, command))

    def lost(self, code: Code = Code.LINK_LOST) -> None:
        """The link to the PLC has ended."""
        self.metrics.set("mkd_line_connected", 0, station=self.name, peer="plc")
        self._do(self.handshake.lost(time.monotonic(), code))

    def found(self) -> None:
        """The link of a protocol of messages is there."""
        self.metrics.set("mkd_line_connected", 1, station=self.name, peer="plc")
        self._do(self._station.link_found(time.monotonic()))

    def trigger(self, request: TriggerRequest, picture: Picture | None = None) -> asyncio.Future[Answer]:
        """A trigger by message, with its picture where the sender brings it. The future gets the one answer."""
        effects = self._station.trigger(time.monotonic(), request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[_own_cycle(effects)] = future
        self._do(effects, picture)
        return future

    def start_job(self, request: TriggerRequest) -> int:
        """A trigger by message whose answer is told by the outputs; the number of its cycle."""
        effects = self._station.trigger(time.monotonic(), request)
        self._do(effects)
        return _own_cycle(effects)

    def taken(self, answer: Answer) -> Answer:
        """The sender of a trigger by message is about to be given this answer, which is its acknowledgement as well.

        Returns the answer to give: the same, or the REJECT in its place where the window is over by now.
        """
        shown = self.outputs()
        if shown.answer is None or shown.answer.cycle != answer.cycle:
            return answer
        self.delivered(shown.result)
        given = self.outputs().answer or answer
        self.acknowledge()
        return given

    def acknowledge(self, result: int | None = None) -> None:
        """The result of that number has been taken."""
        self._do(self._station.acknowledge(time.monotonic(), result))

    def abort(self) -> None:
        """Ends the running cycle."""
        self._do(self._station.abort(time.monotonic()))

    def delivered(self, result: int) -> None:
        """The result of that number has reached the PLC."""
        now = time.monotonic()
        if self._decided_at and result == self.outputs().result:
            self.metrics.seconds(self.name, "answer", now - self._decided_at)
            self._decided_at = 0.0
        self._do(self._station.delivered(now, result))

    def busy(self) -> bool:
        """Whether a cycle runs."""
        return self._station.phase in (Phase.ACQUIRING, Phase.JUDGING)

    def conditions(self) -> dict[str, Code]:
        """Why the station is not ready, by what is wrong: link, camera, service, outputs."""
        return self._station.conditions()

    def has_recipe(self, recipe: str) -> bool:
        """Whether a trigger with this recipe would be judged."""
        return self._station.has_recipe(recipe)

    # --- inside

    def _do(self, effects: list[Effect], picture: Picture | None = None) -> None:
        for effect in effects:
            if isinstance(effect, Acquire):
                task = asyncio.create_task(self._part.inspect(effect, picture))
                self._cycles[effect.cycle] = task
                task.add_done_callback(lambda _, cycle=effect.cycle: self._cycles.pop(cycle, None))  # type: ignore[misc]
            elif isinstance(effect, Answered):
                self._answered(effect.answer)
            elif isinstance(effect, Withdrawn):
                self._reporter.withdrawn(effect.answer)
            elif isinstance(effect, Noted):
                self._reporter.noted(effect.event)
        self.display.show()
        self._set_timer()

    def _answered(self, answer: Answer) -> None:
        self._decided_at = time.monotonic()
        waiting = self._waiting.pop(answer.cycle, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        task = self._cycles.get(answer.cycle)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._reporter.answered(answer)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._station.next_deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        # A timer may fire a clock tick early; the machine then gives its deadline again.
        self._do(self._station.tick(time.monotonic()))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            now = time.monotonic()
            self._do(self._station.beat(now) + self.handshake.check(now))

    def condition(self, name: str, code: Code | None) -> None:
        """While `code` is not None, triggers are answered by REJECT with it."""
        self._do(self._station.condition(time.monotonic(), name, code))


def _own_cycle(effects: list[Effect]) -> int:
    """The cycle of the trigger that these effects are of: its own effect is the last one."""
    own = effects[-1]
    assert isinstance(own, Acquire | Answered)
    return own.cycle if isinstance(own, Acquire) else own.answer.cycle
