"""One call as data: what is sent, how the answer is read, and whether it may be made twice; no input or output here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from mkdserve.client.images import Part
from mkdserve.client.schema import read

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)
Value = str | int | float | bool | None
OK = frozenset({200})


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """`read` makes the result of an answer whose status is in `statuses`, and raises ValueError for what it cannot
    read. `repeatable` says that doing it twice does no harm. `into` is a file that takes the answer's body; `read`
    sees no body then. `deadline_s` is in seconds for all attempts together, None for the client's own.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Part, ...] = ()
    json: object = None
    statuses: frozenset[int] = OK
    repeatable: bool = True
    deadline_s: float | None = None
    into: Path | None = None


def path(*segments: str | int) -> str:
    """A path of these segments, each quoted: a name cannot leave its place."""
    return "".join(f"/{quote(str(segment), safe='')}" for segment in segments)


def params(given: Mapping[str, Value | tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    """Query parameters; None is left out, a tuple is repeated, truth is `true` or `false`."""
    rows = [(name, one) for name, value in given.items() for one in (value if isinstance(value, tuple) else (value,))]
    return tuple((name, _text(one)) for name, one in rows if one is not None)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def iso_time(moment: datetime | None) -> str | None:
    """ISO 8601. Raises ValueError for a time without its zone: it would mean another moment there than here."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; give datetime(..., tzinfo=UTC)")
    return moment.isoformat()


def get(kind: type[B], *segments: str | int, **options: Any) -> Call[B]:
    """GET of a path, read as `kind`."""
    return Call(method="GET", path=path(*segments), read=partial(read, kind), **options)


def post(kind: type[B], *segments: str | int, **options: Any) -> Call[B]:
    """POST to a path, the answer read as `kind`."""
    return Call(method="POST", path=path(*segments), read=partial(read, kind), **options)
