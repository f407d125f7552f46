"""Recurring defects: unusual regions that are alike, what people call them, and how often they come."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from service.feedback.rows import ANONYMOUS
from service.rest.defect_group_schemas import DefectGroupList, DefectGroupQuery, GroupNameBody
from service.rest.defect_group_view import groups_of
from service.rest.dependencies import GroupNameRequest, MayReview, MayView, TheDefects, TheRecord
from service.rest.feedback_schemas import LARGEST_ID
from service.rest.feedback_view import seconds_of
from service.rest.openapi import json_body, problems_for
from service.rest.routes.operation import Name

router = APIRouter(prefix="/products/{name}/defect-groups", tags=["feedback"])
GroupId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the group.")]
GroupParameters = Annotated[DefectGroupQuery, Query()]


@router.get(
    "",
    summary="Defects that come again",
    responses=problems_for(401, 403, 404, 422, 503),
    dependencies=[MayView],
)
async def defect_groups(name: Name, defects: TheDefects, query: GroupParameters) -> DefectGroupList:
    """Regions of NG parts and of parts confirmed defective, grouped by their source activations.

    New parts are looked at in the background after this; `work` says how many wait.
    """
    found = await defects.groups(name, seconds_of(query.since))
    return groups_of(found, defects.trouble.get(name))


@router.post(
    "/{id}/name",
    status_code=204,
    response_class=Response,
    summary="Name a group of defects",
    responses=problems_for(400, 401, 403, 404, 408, 413, 415, 422, 503),
    openapi_extra=json_body(GroupNameBody),
    dependencies=[MayReview],
)
async def name_group(name: Name, id: GroupId, defects: TheDefects, body: GroupNameRequest, record: TheRecord) -> None:
    """Parts of the group carry the name from now on, those to come as well; null takes it away."""
    await defects.name(name, id, body.name, record.caller or ANONYMOUS)
