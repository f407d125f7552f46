"""The calls for new thresholds: what another rate would have decided, proposals, and their application."""

from __future__ import annotations

from datetime import datetime

import httpx

from mkdserve.client.calls import Call, get, iso_time, params, path, post
from mkdserve.client.recalibrations import Recalibration, RecalibrationList, WhatIf
from mkdserve.client.schema import read

ACCEPTED = frozenset({202})


def what_if(name: str, max_false_reject: float, *, since: datetime | None = None) -> Call[WhatIf]:
    """What that false-reject rate would have decided of the stored verdicts; nothing changes."""
    query = params({"max_false_reject": max_false_reject, "since": iso_time(since)})
    return get(WhatIf, "products", name, "what-if", params=query)


def recalibrate(
    name: str,
    *,
    max_false_reject: float | None = None,
    review_rate: float | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Call[Recalibration]:
    """Propose new thresholds from confirmed parts; it is computed on, and nothing changes until it is applied."""
    given = {
        "max_false_reject": max_false_reject,
        "review_rate": review_rate,
        "since": iso_time(since),
        "until": iso_time(until),
    }
    body = {key: value for key, value in given.items() if value is not None}
    return post(Recalibration, *_of(name), json=body, statuses=ACCEPTED, repeatable=False)


def recalibrations(name: str) -> Call[tuple[Recalibration, ...]]:
    """Those of a product, newest first."""
    return Call(method="GET", path=path(*_of(name)), read=_listed)


def recalibration(name: str, id: int) -> Call[Recalibration]:
    """How one of them stands."""
    return get(Recalibration, *_of(name), id)


def apply_recalibration(name: str, id: int) -> Call[Recalibration]:
    """Write the product's next version with the new thresholds, and make it the active one."""
    return post(Recalibration, *_of(name), id, "apply", repeatable=False)


def _of(name: str) -> tuple[str, str, str]:
    return "products", name, "recalibrations"


def _listed(answer: httpx.Response) -> tuple[Recalibration, ...]:
    return read(RecalibrationList, answer).recalibrations
