"""Levels that a PLC holds in its registers, turned into events of the station: edges, heartbeat, stale triggers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.gateway.codes import Code
from service.gateway.events import Effect, TriggerRequest
from service.gateway.outputs_view import Outputs
from service.gateway.station import Station


@dataclass(frozen=True)
class Command:
    """The PLC's side of the handshake as it was read at one moment."""

    trigger: bool = False
    acknowledge: bool = False
    abort: bool = False
    heartbeat: int = 0
    recipe: str = ""
    trigger_id: int = 0
    part_id: str = ""


class Handshake:
    """Holds the levels that were seen last. `silent_after_s`: a heartbeat that stands still for so long is a lost PLC;
    0 does not watch it."""

    def __init__(self, station: Station, silent_after_s: float = 0.0) -> None:
        self._station = station
        self._silent_after_s = silent_after_s
        self._last: Command | None = None
        self._beat_at = 0.0
        self._silent = False

    def sample(self, now: float, command: Command) -> list[Effect]:
        """What the PLC's levels say now. The first sample of a connection can only be the end of something old."""
        effects: list[Effect] = []
        last, self._last = self._last, command
        effects += self._watch(now, last, command)
        if last is None:
            if command.trigger:
                effects += self._station.reject(now, _request(command), Code.TRIGGER_BEFORE_START)
            return effects
        if command.acknowledge and not last.acknowledge:
            effects += self._station.acknowledge(now)
        if command.abort and not last.abort:
            effects += self._station.abort(now)
        if command.trigger and not last.trigger:
            effects += self._station.trigger(now, _request(command))
        elif command.trigger and command.trigger_id != last.trigger_id:
            effects += self._station.reject(now, _request(command), Code.TRIGGER_NOT_RELEASED)
        return effects

    def lost(self, now: float, code: Code = Code.LINK_LOST) -> list[Effect]:
        """The connection has ended: what is held when it comes back is not a fresh trigger."""
        self._last = None
        self._silent = False
        return self._station.link_lost(now, code)

    def check(self, now: float) -> list[Effect]:
        """Time has passed without a sample, or with one that says the same."""
        if self._last is None or not self._silent_after_s or self._silent:
            return []
        if now - self._beat_at < self._silent_after_s:
            return []
        self._silent = True
        return self._station.link_lost(now, Code.PLC_SILENT)

    def outputs(self) -> Outputs:
        """The station's outputs; not ready for a trigger while the last one is held."""
        held = self._last is not None and self._last.trigger
        shown = self._station.outputs()
        return replace(shown, trigger_seen=held, ready=shown.ready and not held)

    def _watch(self, now: float, last: Command | None, command: Command) -> list[Effect]:
        if last is None:
            self._beat_at = now
            return self._station.link_found(now)
        if command.heartbeat != last.heartbeat:
            self._beat_at = now
            if self._silent:
                self._silent = False
                return self._station.link_found(now)
        return self.check(now)


def _request(command: Command) -> TriggerRequest:
    return TriggerRequest(command.trigger_id, command.recipe, command.part_id)
