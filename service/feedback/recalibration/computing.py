"""What is computed for a proposal, outside of the event loop: the thresholds, and statistics of the kept pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from models.calibration.conformal import Calibration
from models.imaging.decode import ImageLimits
from service.feedback.pictures import PictureFolder
from service.feedback.recalibration.inputs import measured, renewed
from service.feedback.recalibration.outcome import content, shown
from service.feedback.recalibration.proposal import Proposal, Rates, proposed
from service.feedback.recalibration.record import Asked, State
from service.feedback.recalibration.refusals import Refused, iso
from service.products.product import ProductVersion

if TYPE_CHECKING:
    from service.feedback.recalibration.window import KeptPicture, Window


@dataclass(frozen=True)
class Outcome:
    """How a proposal ends, with the columns that tell of it; `proposal` where there is one."""

    state: State
    values: dict[str, Any] = field(default_factory=dict)
    proposal: Proposal | None = None

    def with_inputs(
        self, pictures: Sequence[KeptPicture], folder: PictureFolder, version: ProductVersion, limits: ImageLimits
    ) -> Outcome:
        """The same with the input statistics of these pictures; one that has left meanwhile is passed over."""
        assert self.proposal is not None
        rows = []
        for picture in pictures:
            try:
                found = measured(folder.read(picture.file, picture.size), version.judge, limits)
            except OSError:
                continue
            rows += [found] if found is not None else []
        inputs = renewed(version.input_statistics, rows)
        return replace(self, values={**self.values, "content": content(self.proposal, inputs)})


def computed(window: Window, before: Calibration, asked: Asked) -> Outcome:
    """The proposal, or the refusal with a window that would do."""
    try:
        if not window.parts and window.others:
            raise Refused(
                f"the active version has judged no part in this window; {window.others} were judged by other versions, "
                "whose scores are of another kind"
            )
        proposal = proposed(window.parts, before, rates_asked(asked, before))
    except Refused as refused:
        return Outcome("refused", {"reason": refused.reason, "result": {"suggested": suggested(refused)}})
    return Outcome("ready", {"result": shown(proposal)}, proposal)


def suggested(refused: Refused) -> dict[str, str | None] | None:
    """The bounds of a window without the fault, None for one that may stay; None alone where no other window helps."""
    bounds = {"since": refused.since, "until": refused.until}
    if bounds == {"since": None, "until": None}:
        return None
    return {name: iso(at) if at is not None else None for name, at in bounds.items()}


def rates_asked(asked: Asked, before: Calibration) -> Rates:
    """What is asked for, or else the artifact's; REVIEW is never the rarer one."""
    if asked.max_false_reject is None and asked.review_rate is not None:
        return Rates(ng=min(before.ng_rate, asked.review_rate), review=asked.review_rate)
    ng = before.ng_rate if asked.max_false_reject is None else asked.max_false_reject
    review = asked.review_rate if asked.review_rate is not None else before.review_rate
    return Rates(ng=ng, review=max(ng, review))
