"""The text of `mkd-train methods`: each method, when to take it, and its settings with their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.heads.base import Method
from models.heads.registry import DEFAULT_METHOD, method_names, method_of


def method_lines(name: str | None = None) -> Iterator[str]:
    """The lines for all methods, or for one. Raises ValueError for a name that is none."""
    for number, one in enumerate([name] if name else method_names()):
        if number:
            yield ""
        yield from _lines(method_of(one))


def _lines(method: Method[Any]) -> Iterator[str]:
    default = " (default)" if method.name == DEFAULT_METHOD else ""
    yield f"{method.name}{default}: {method.title}"
    yield f"  when: {method.when}"
    for setting, value in default_settings(method).items():
        yield f"  --set {setting}={value}"


def default_settings(method: Method[Any]) -> Mapping[str, str]:
    """Every setting but the name, with its default as one types it."""
    config = method.Config.model_validate({"method": method.name})
    return {name: _typed(getattr(config, name)) for name in type(config).model_fields if name != "method"}


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value) or "none"
    return str(value)
