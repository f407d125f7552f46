"""Result codes: why a part was rejected without a verdict, as the numbers that a PLC reads.

0 is the only code of a part that was judged. Every other code comes with the decision REJECT: the part is not OK.
docs/line.md lists them; a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Tens group the codes: 1x the trigger, 2x the picture, 3x the verdict, 4x the connection, 5x the gateway."""

    JUDGED = 0
    TRIGGER_WHILE_BUSY = 10
    TRIGGER_NOT_RELEASED = 11
    RECIPE_UNKNOWN = 12
    COMMAND_INVALID = 13
    ABORTED = 14
    PICTURE_LATE = 20
    CAMERA_LOST = 21
    PICTURE_UNREADABLE = 22
    PICTURE_NOT_OF_TRIGGER = 23
    PICTURE_FORMAT = 24
    LIGHT_REPEATED = 25
    LIGHT_UNKNOWN = 26
    VERDICT_LATE = 30
    SERVICE_UNREACHABLE = 31
    SERVICE_OVERLOADED = 32
    SERVICE_NOT_READY = 33
    SERVICE_DEADLINE = 34
    SERVICE_PRODUCT_UNKNOWN = 35
    SERVICE_REFUSED = 36
    SERVICE_FAULT = 37
    VERDICT_INVALID = 38
    LINK_LOST = 40
    PLC_SILENT = 41
    ANSWER_LATE = 42
    CERTIFICATE_INVALID = 43
    STARTED = 50
    STOPPED = 51
    TRIGGER_BEFORE_START = 52
    INTERNAL = 53
    DISK_FULL = 54


MEANINGS: dict[Code, str] = {
    Code.JUDGED: "The part was judged; the decision is the service's.",
    Code.TRIGGER_WHILE_BUSY: "A second trigger came before the first one was answered.",
    Code.TRIGGER_NOT_RELEASED: "The trigger's id changed while the trigger was held.",
    Code.RECIPE_UNKNOWN: "The recipe is not in the station's table; no picture was taken.",
    Code.COMMAND_INVALID: "The command holds values that mean nothing.",
    Code.ABORTED: "The cycle was aborted by request.",
    Code.PICTURE_LATE: "No picture came within the window.",
    Code.CAMERA_LOST: "The source of pictures is not connected.",
    Code.PICTURE_UNREADABLE: "The picture cannot be decoded, or its frame arrived incomplete.",
    Code.PICTURE_NOT_OF_TRIGGER: "The picture does not belong to this trigger: it is older, or frames were mixed up.",
    Code.PICTURE_FORMAT: "The picture has another size, depth or format than the artifact has seen.",
    Code.LIGHT_REPEATED: "Two files of the part have the name of the same light.",
    Code.LIGHT_UNKNOWN: "A file of the part has a name that no light of the product has.",
    Code.VERDICT_LATE: "No verdict came within the window.",
    Code.SERVICE_UNREACHABLE: "The judging service does not answer at its address.",
    Code.SERVICE_OVERLOADED: "The judging service refused for load (429).",
    Code.SERVICE_NOT_READY: "The judging service is not ready (503).",
    Code.SERVICE_DEADLINE: "The judging service could not judge before the deadline (504).",
    Code.SERVICE_PRODUCT_UNKNOWN: "The judging service does not know the product (404).",
    Code.SERVICE_REFUSED: "The judging service refused the request: key, form or content (other 4xx).",
    Code.SERVICE_FAULT: "The judging service failed (other 5xx).",
    Code.VERDICT_INVALID: "The verdict is no number, contradicts itself, or is of another product.",
    Code.LINK_LOST: "There is no connection to the PLC, or it was lost in this cycle.",
    Code.PLC_SILENT: "The PLC's heartbeat stands still.",
    Code.ANSWER_LATE: "The answer reached the PLC after the window; it was withdrawn.",
    Code.CERTIFICATE_INVALID: "A certificate is missing, expired or not yet valid.",
    Code.STARTED: "The gateway has started and nothing was judged yet.",
    Code.STOPPED: "The gateway stops.",
    Code.TRIGGER_BEFORE_START: "The trigger was raised before the gateway, or its connection, was there.",
    Code.INTERNAL: "A fault of the gateway; its log has the trace.",
    Code.DISK_FULL: "The spool on the disk cannot be written.",
}
