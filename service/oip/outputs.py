"""Shows the core's verdicts as output tensors, an element for each image of the request.

An image without a verdict has the decision ERROR, NaN for its numbers, and the reason in `error`: a tensor has no place
for an entry of another kind, and nothing may be taken for OK.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.errors import MalformedRequest
from service.inspection.map_pictures import MapPictures
from service.inspection.verdict import ImageFailure, Verdict
from service.oip.tensors import OutputTensor, RequestedOutput

Entry = Verdict | ImageFailure
NO_DECISION = "ERROR"
CUT_HINT = "; BYTES made from a numpy array of kind 'S' lose their trailing zero bytes: use dtype=object"


@dataclass(frozen=True)
class Output:
    """One output that there is: how an element is made of a verdict, and what stands there without one."""

    datatype: str
    of_verdict: Callable[[Verdict], float | bytes]
    of_failure: Callable[[ImageFailure], float | bytes]


def reason(failure: ImageFailure) -> str:
    """Code and detail in one text."""
    hint = CUT_HINT if failure.error.code == "image_truncated" else ""
    return f"{failure.error.code}: {failure.error.detail}{hint}"


def _number(of_verdict: Callable[[Verdict], float]) -> Output:
    return Output("FP64", of_verdict, lambda _: math.nan)


def _picture(of_pictures: Callable[[MapPictures], bytes | None]) -> Output:
    def of_verdict(verdict: Verdict) -> bytes:
        return (of_pictures(verdict.pictures) if verdict.pictures is not None else None) or b""

    return Output("BYTES", of_verdict, lambda _: b"")


def _regions(pictures: MapPictures) -> bytes:
    return json.dumps([region._asdict() for region in pictures.regions]).encode()


def _review_threshold(verdict: Verdict) -> float:
    review = verdict.thresholds.review
    return math.nan if review is None else review.value


OUTPUTS = {
    "score": _number(lambda verdict: verdict.score),
    "p_value": _number(lambda verdict: verdict.p_value),
    "threshold": _number(lambda verdict: verdict.thresholds.ng.value),
    "review_threshold": _number(_review_threshold),
    "decision": Output("BYTES", lambda verdict: verdict.decision.encode(), lambda _: NO_DECISION.encode()),
    "error": Output("BYTES", lambda _: b"", lambda failure: reason(failure).encode()),
    "group": Output("BYTES", lambda verdict: (verdict.group or "").encode(), lambda _: b""),
    "map": _picture(lambda pictures: pictures.map),
    "regions": _picture(_regions),
    "overlay": _picture(lambda pictures: pictures.overlay),
    "mask": _picture(lambda pictures: pictures.mask),
}
PICTURES = frozenset({"map", "regions", "overlay", "mask"})
ON_REQUEST = PICTURES | {"group"}  # of channels: only some products have them
USUAL = tuple(RequestedOutput(name) for name in OUTPUTS if name not in ON_REQUEST)


def wanted_outputs(requested: Sequence[RequestedOutput]) -> tuple[RequestedOutput, ...]:
    """The outputs that a request names, or the usual ones: all but ON_REQUEST. Raises MalformedRequest."""
    for number, output in enumerate(requested):
        if output.name not in OUTPUTS:
            raise MalformedRequest(f"output {output.name[:64]!r} is not known; known are {', '.join(OUTPUTS)}")
        if any(output.name == other.name for other in requested[:number]):
            raise MalformedRequest(f"output {output.name!r} is there twice")
    return tuple(requested) or USUAL


def output_tensor(name: str, entries: Sequence[Entry]) -> OutputTensor:
    """One output for all images of a request."""
    kind = OUTPUTS[name]
    elements = [kind.of_verdict(one) if isinstance(one, Verdict) else kind.of_failure(one) for one in entries]
    return OutputTensor(name, kind.datatype, tuple(elements))  # type: ignore[arg-type]
