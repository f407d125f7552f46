"""The narrow port to whatever judges pictures: one picture in, one verdict or one code out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from service.gateway.codes import Code
from service.gateway.picture import Picture

Judged = Literal["OK", "REVIEW", "NG"]
STATUS_CODES = {
    401: Code.SERVICE_REFUSED,
    403: Code.SERVICE_REFUSED,
    404: Code.SERVICE_PRODUCT_UNKNOWN,
    429: Code.SERVICE_OVERLOADED,
    503: Code.SERVICE_NOT_READY,
    504: Code.SERVICE_DEADLINE,
}
ENTRY_CODES = {
    "deadline_exceeded": Code.SERVICE_DEADLINE,
    "image_level_unexpected": Code.PICTURE_FORMAT,
    "image_layout_not_supported": Code.PICTURE_FORMAT,
    "image_channels_missing": Code.PICTURE_FORMAT,
    "image_channels_unexpected": Code.PICTURE_FORMAT,
    "image_stack_uneven": Code.PICTURE_FORMAT,
    "image_channel_repeated": Code.LIGHT_REPEATED,
    "image_channel_unknown": Code.LIGHT_UNKNOWN,
    "overloaded": Code.SERVICE_OVERLOADED,
    "not_ready": Code.SERVICE_NOT_READY,
    "shutting_down": Code.SERVICE_NOT_READY,
}


@dataclass(frozen=True)
class GatewayVerdict:
    """What the judging service said of one picture. Scores above `threshold` are NG.

    `size` is the picture's in words; `size_seen` says whether the artifact has seen such a size, None where that is
    not known.
    """

    product: str
    decision: Judged
    score: float
    threshold: float
    review_threshold: float | None = None
    version: str = ""
    method: str = ""
    artifact: str = ""
    request_id: str = ""
    size: str = ""
    size_seen: bool | None = None

    def fault(self, product: str) -> Code | None:
        """Why this verdict may not be used for a part of `product`, or None.

        A verdict must be of the product that was asked for, its numbers must be numbers, and its decision must be the
        one that its own numbers give, as far as that is known. A picture of a size that the artifact has never seen
        is stretched until it fits: what the score of that says, nobody knows.
        """
        if self.size_seen is False:
            return Code.PICTURE_FORMAT
        if self.product != product or self.decision not in ("OK", "REVIEW", "NG"):
            return Code.VERDICT_INVALID
        if not (math.isfinite(self.score) and math.isfinite(self.threshold)):
            return Code.VERDICT_INVALID
        if (self.decision == "NG") != (self.score > self.threshold):
            return Code.VERDICT_INVALID
        if self.review_threshold is not None and self.decision == "OK" and not self.score <= self.review_threshold:
            return Code.VERDICT_INVALID
        return None


class JudgeError(Exception):
    """No verdict, and why: `code` is what the PLC is told. The text is for the log."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def code_of_status(status: int) -> Code:
    """What the PLC is told of a request that the service refused or failed, by its HTTP status."""
    return STATUS_CODES.get(status, Code.SERVICE_FAULT if status >= 500 else Code.SERVICE_REFUSED)


def code_of_entry(code: str) -> Code:
    """The same for a picture without a verdict, by the code of its error."""
    if code in ENTRY_CODES:
        return ENTRY_CODES[code]
    return Code.PICTURE_UNREADABLE if code.startswith("image_") else Code.SERVICE_FAULT


@dataclass(frozen=True)
class Ids:
    """What ties a request to its part, for the service's log and audit trail. `run` tells runs of the gateway apart."""

    station: str
    trigger_id: int
    part_id: str
    cycle: int
    run: str

    @property
    def request_id(self) -> str:
        """The id under which the service logs the request; made of what it accepts."""
        return f"{self.station}-{self.run}-{self.cycle}-{self.trigger_id}"


class Judge(Protocol):
    """Judges pictures. `deadline` is a time of `time.monotonic()` after which a verdict is of no use."""

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        """The verdict; raises JudgeError. Never answers OK for want of an answer."""
        ...

    async def ready(self) -> Code | None:
        """None where pictures would be judged, else the code that says why not."""
        ...

    async def close(self) -> None:
        """Ends connections."""
        ...
