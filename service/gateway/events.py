"""What goes into and comes out of a station's state machine: requests, effects and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.gateway.codes import Code


class Decision(StrEnum):
    """What the PLC is told of a part. REJECT: the part was not judged, the code says why. Only OK is OK."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"
    REJECT = "REJECT"


class Phase(StrEnum):
    """Where a station is in its cycle."""

    STOPPED = "stopped"
    READY = "ready"
    ACQUIRING = "acquiring"
    JUDGING = "judging"
    RESULT = "result"


@dataclass(frozen=True)
class TriggerRequest:
    """One trigger. `trigger_id` is the PLC's number of the part, 0 to 2**32 - 1; `recipe` names the product."""

    trigger_id: int
    recipe: str
    part_id: str = ""


@dataclass(frozen=True)
class Answer:
    """The one answer to a trigger.

    `cycle` is the gateway's own number of the trigger, never used twice in a run. `seconds` is the time from the
    trigger to the decision. Score and threshold are None where nothing was judged.
    """

    cycle: int
    trigger_id: int
    part_id: str
    recipe: str
    product: str
    decision: Decision
    code: Code
    score: float | None = None
    threshold: float | None = None
    version: str = ""
    method: str = ""
    artifact: str = ""
    request_id: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Acquire:
    """Take the picture of this cycle. `deadline` is in the station's time."""

    cycle: int
    request: TriggerRequest
    product: str
    deadline: float


@dataclass(frozen=True)
class Answered:
    """A trigger has its answer. `refused`: it came while another one was running and is not shown as the result."""

    answer: Answer
    refused: bool = False


@dataclass(frozen=True)
class Withdrawn:
    """An answer that is not to be used any more; the PLC is shown `answer` in its place."""

    answer: Answer


@dataclass(frozen=True)
class Noted:
    """Something that changes no answer and is counted: see `EVENTS`."""

    event: str


Effect = Acquire | Answered | Withdrawn | Noted

EVENTS: dict[str, str] = {
    "double_trigger": "a trigger while another one was not answered",
    "late_picture": "a picture of a cycle that was over",
    "late_verdict": "a verdict of a cycle that was over",
    "stray_acknowledgement": "an acknowledgement of a result that was not shown",
    "unacknowledged": "a result that was replaced before it was acknowledged",
    "clock_back": "a time before the one before",
    "link_lost": "the PLC's connection ended, or its heartbeat stood still",
    "link_found": "the PLC's connection came back",
}
