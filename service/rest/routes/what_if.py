"""What another false-reject rate would have made of the verdicts that are stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.inspection.options import InspectionOptions, choose_thresholds
from service.rest.dependencies import MayView, TheFeedback, TheProducts
from service.rest.feedback_view import seconds_of
from service.rest.openapi import problems_for
from service.rest.recalibration_schemas import WhatIfQuery, WhatIfReply
from service.rest.recalibration_view import what_if_of
from service.rest.routes.operation import Name

router = APIRouter(tags=["feedback"])
WhatIfParameters = Annotated[WhatIfQuery, Query()]


@router.get(
    "/products/{name}/what-if",
    summary="What another rate would have decided",
    responses=problems_for(401, 403, 404, 422, 503),
    dependencies=[MayView],
)
async def what_if(name: Name, feedback: TheFeedback, registry: TheProducts, query: WhatIfParameters) -> WhatIfReply:
    """Of the newest 50,000 verdicts of the active version, by its own calibration."""
    from service.feedback.recalibration.what_if import what_if

    registry.status(name)
    async with registry.lease(name) as version:
        now = version.calibration.thresholds()
        then = choose_thresholds(version.calibration, InspectionOptions(max_false_reject=query.max_false_reject))
        since = seconds_of(query.since)
        found = await feedback.read(what_if, version.name, version.hash, now, then, since)
        return what_if_of(version.version, (now, then), found)
