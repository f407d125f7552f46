"""Recurring defects as callers get them and name them, as schemas of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.rest.feedback_schemas import CLASS_PATTERN, StoredVerdict
from service.rest.schemas import Schema


class DefectGroupQuery(BaseModel):
    """Query parameters of /products/{name}/defect-groups."""

    model_config = ConfigDict(extra="forbid")

    since: datetime | None = Field(default=None, description="Parts from this time on; UTC where it has no zone.")


class GroupNameBody(BaseModel):
    """Body of POST /products/{name}/defect-groups/{id}/name."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(pattern=CLASS_PATTERN, description="null takes the name away.")

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and value != value.strip():
            raise ValueError("a name begins and ends with no blank")
        return value


class GroupMember(StoredVerdict):
    """A stored verdict of the group, with its strongest region."""

    box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels of the picture.")


class DefectGroupReply(Schema):
    """Parts whose strongest regions are alike."""

    id: int
    name: str | None
    named_by: str | None
    named_at: datetime | None
    parts: int = Field(description="Of the window.")
    share: float = Field(description="Of all parts that were inspected in the window.")
    members: list[GroupMember] = Field(description="The newest, 12 at most.")


class DefectGroupWork(Schema):
    """How far the work in the background is."""

    waiting: int = Field(description="Parts that will be looked at.")
    trouble: str | None = Field(description="Why the work stands still.")


class DefectGroupList(Schema):
    """The groups of recurring defects of a product, largest first."""

    groups: list[DefectGroupReply]
    inspected: int = Field(description="Parts inspected in the window.")
    alone: int = Field(description="Regions that resemble no other.")
    undescribed: dict[str, int] = Field(
        description="Parts without a region, by reason: no_region (the map is lit nowhere), version_gone, failed."
    )
    work: DefectGroupWork
