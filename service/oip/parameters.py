"""The parameters of a request: what they ask of the core. An unknown one is refused, as it might change a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from models.imaging.map_picture import OverlayStyle
from service.errors import MalformedRequest
from service.inspection.context import LineContext, LineContextError
from service.inspection.options import InspectionOptions, PictureOptions
from service.oip.outputs import PICTURES
from service.oip.tensors import Parameter, RequestedOutput

LINE = ("line", "station", "part_id")
KNOWN = ("max_false_reject", "review", "timeout", "overlay", *LINE)
OF_THE_FORM = frozenset({"binary_data_output"})
MICROSECOND = 1e-6


@dataclass(frozen=True)
class Asked:
    """`timeout_s` is the time that the caller gives from the request's begin on, None where it says nothing."""

    options: InspectionOptions
    line: Mapping[str, str]
    timeout_s: float | None


def asked(parameters: Mapping[str, Parameter], outputs: Sequence[RequestedOutput]) -> Asked:
    """What parameters and wanted outputs ask for. Raises MalformedRequest."""
    for name in parameters:
        if name not in KNOWN and name not in OF_THE_FORM:
            raise MalformedRequest(f"parameter {name[:64]!r} is not known; known are {', '.join(KNOWN)}")
    wanted = {output.name for output in outputs}
    pictures = _pictures(wanted, parameters.get("overlay"))
    options = InspectionOptions(_rate(parameters.get("max_false_reject")), _review(parameters.get("review")), pictures)
    return Asked(options, _line(parameters), _timeout(parameters.get("timeout")))


def _pictures(wanted: set[str], style: Parameter | None) -> PictureOptions | None:
    if style not in (None, *get_args(OverlayStyle)):
        raise MalformedRequest("parameter overlay: heat or outline")
    if not wanted & PICTURES:
        return None
    return PictureOptions(cast(OverlayStyle, style or "heat") if "overlay" in wanted else None, "mask" in wanted)


def _rate(value: Parameter | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | bool) or not 0 < value < 1:
        raise MalformedRequest("parameter max_false_reject: a number above 0 and below 1")
    return float(value)


def _review(value: Parameter | None) -> bool:
    if value not in (None, "on", "off") or isinstance(value, bool):
        raise MalformedRequest("parameter review: on or off")
    return value != "off"


def _line(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    given = {name: parameters[name] for name in LINE if name in parameters}
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    try:
        if len(texts) < len(given):
            raise MalformedRequest("parameters line, station, part_id: texts")
        LineContext(**texts)
    except LineContextError as error:
        raise MalformedRequest(f"parameter {error}") from None
    return texts


def _timeout(value: Parameter | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | bool) or not 0 < value < float("inf"):
        raise MalformedRequest("parameter timeout: microseconds above 0")
    return value * MICROSECOND
