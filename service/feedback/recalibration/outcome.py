"""A proposal as it is kept: what people are shown of it, and what an artifact is written from; both plain JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from models.calibration.conformal import Thresholds
from models.imaging.input_statistics import InputStatistics
from service.feedback.recalibration.parts import Part
from service.feedback.recalibration.proposal import Proposal
from service.feedback.recalibration.refusals import iso


def shown(proposal: Proposal) -> dict[str, Any]:
    """What the proposal would do, as GET /products/{name}/recalibrations/{id} tells it."""
    after, held_back = proposal.after, proposal.held_back
    return {
        "before": values_of(proposal.before),
        "after": values_of(after),
        "rate_promised": after.ng.rate_promised,
        "review_rate_promised": after.review.rate_promised if after.review is not None else None,
        "parts": asdict(proposal.counts),
        "held_back": {
            "parts": held_back.parts,
            "rejected_before": held_back.rejected_before,
            "rejected_after": held_back.rejected_after,
            "share": held_back.after.share,
            "interval": [held_back.after.low, held_back.after.high],
        },
        "misses": {name: asdict(one) for name, one in proposal.misses.items()},
        "changed": asdict(proposal.changed),
    }


def content(proposal: Proposal, inputs: InputStatistics | None) -> dict[str, Any]:
    """What the new artifact has that the old one has not; `verdicts` are the ids of the parts that it rests on."""
    return {
        "calibration": proposal.calibration.model_dump(mode="json"),
        "input_statistics": inputs.model_dump(mode="json") if inputs is not None else None,
        "verdicts": [part.verdict_id for part in proposal.used],
        "data_sha256": digest(proposal.used),
        "since": iso(proposal.began),
        "until": iso(proposal.ended),
    }


def values_of(thresholds: Thresholds) -> dict[str, float | None]:
    """Both thresholds by their decisions, in lower case; REVIEW is None where it is never given."""
    return {"ng": thresholds.ng.value, "review": thresholds.review.value if thresholds.review is not None else None}


def digest(parts: Sequence[Part]) -> str:
    """SHA-256 over ids and scores, one line of JSON each in the order of ids."""
    lines = (json.dumps([part.verdict_id, part.score]) for part in sorted(parts, key=lambda each: each.verdict_id))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
