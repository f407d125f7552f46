"""The calls about recurring defects: the groups of a product, and their names."""

from __future__ import annotations

from datetime import datetime

import httpx

from mkdserve.client.calls import Call, get, iso_time, params, path
from mkdserve.client.defect_groups import DefectGroups

DONE = frozenset({204})


def defect_groups(name: str, *, since: datetime | None = None) -> Call[DefectGroups]:
    """The groups of parts from `since` on. New parts are looked at after the call; `work` says how many."""
    return get(DefectGroups, "products", name, "defect-groups", params=params({"since": iso_time(since)}))


def name_defect_group(name: str, id: int, text: str | None) -> Call[None]:
    """Have the parts of a group carry this name, those to come as well; None takes the name away."""
    to = path("products", name, "defect-groups", id, "name")
    return Call(method="POST", path=to, read=_nothing, json={"name": text}, statuses=DONE)


def _nothing(answer: httpx.Response) -> None:
    del answer
