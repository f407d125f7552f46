"""Recurring defects as they are asked for: groups with their newest members, and how far the work is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.feedback.rows import VerdictRow

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the picture
Undescribed = Literal["no_region", "version_gone", "failed"]


@dataclass(frozen=True)
class Region:
    """A part's strongest region and its descriptor, float32 little-endian, in its space; see `descriptors`."""

    verdict_id: int
    product: str
    box: Box
    space: str
    descriptor: bytes


@dataclass(frozen=True)
class Member:
    """A part of a group, with the box of its region and the distance from the group's centre."""

    verdict: VerdictRow
    box: Box
    distance: float


@dataclass(frozen=True, kw_only=True)
class DefectGroup:
    """`parts` of the window belong to it; `newest` are some of them, newest first."""

    id: int
    name: str | None
    named_by: str | None
    named_at: float | None
    parts: int
    newest: tuple[Member, ...]


@dataclass(frozen=True, kw_only=True)
class DefectGroups:
    """The groups of a product, largest first, in a window.

    `inspected` verdicts are in the window; `alone` regions resemble no other; `waiting` parts have not been looked at
    yet. `undescribed` counts those that could not be, by state.
    """

    groups: tuple[DefectGroup, ...]
    inspected: int
    alone: int
    waiting: int
    undescribed: dict[str, int]
