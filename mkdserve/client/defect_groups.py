"""Recurring defects: groups of parts whose strongest regions are alike."""

from __future__ import annotations

from datetime import datetime

from mkdserve.client.feedback import StoredVerdict
from mkdserve.client.schema import Answer


class GroupMember(StoredVerdict):
    """A stored verdict of a group; `box` is its strongest region: x, y, width, height in pixels of the picture."""

    box: tuple[int, int, int, int]


class DefectGroup(Answer):
    """Parts that are alike: `parts` of the window, `share` of all inspected in it, `members` the newest 12."""

    id: int
    name: str | None
    named_by: str | None
    named_at: datetime | None
    parts: int
    share: float
    members: tuple[GroupMember, ...]


class DefectGroupWork(Answer):
    """How many parts are still to be looked at in the background, and why that stands still, if it does."""

    waiting: int
    trouble: str | None


class DefectGroups(Answer):
    """The groups of a product, largest first.

    `alone` counts regions that resemble no other, `undescribed` parts without a region, by reason.
    """

    groups: tuple[DefectGroup, ...]
    inspected: int
    alone: int
    undescribed: dict[str, int]
    work: DefectGroupWork
