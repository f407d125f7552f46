"""What the PLC sees of a station at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from service.gateway.codes import Code
from service.gateway.events import Answer, Decision, Phase


@dataclass(frozen=True)
class Outputs:
    """The station's side of the handshake.

    Exactly one of `ok`, `review` and `ng` is set at every moment, and it is `ng` unless a result says otherwise: a PLC
    that reads nothing but one bit rejects what was not judged. `result` counts answers and tells two equal results
    apart. The three `refused` members tell of triggers that came while another one was running.
    """

    phase: Phase
    ready: bool
    result_valid: bool
    code: Code
    fault: bool
    answer: Answer | None
    trigger_id: int
    recipe: str
    result: int
    heartbeat: int
    refused: int
    refused_trigger_id: int
    refused_code: Code
    faults: int
    trigger_seen: bool = False

    @property
    def decision(self) -> Decision | None:
        """The decision that is shown, None where there is no result."""
        return self.answer.decision if self.result_valid and self.answer is not None else None

    @property
    def ok(self) -> bool:
        return self.decision is Decision.OK

    @property
    def review(self) -> bool:
        return self.decision is Decision.REVIEW

    @property
    def ng(self) -> bool:
        return not (self.ok or self.review)

    @property
    def acquiring(self) -> bool:
        return self.phase is Phase.ACQUIRING

    @property
    def judging(self) -> bool:
        return self.phase is Phase.JUDGING

    @property
    def busy(self) -> bool:
        return self.acquiring or self.judging
