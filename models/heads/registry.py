"""The methods there are, by name, and the settings of any of them as one union discriminated by `method`.

A method of this package is a line in `BUILT_IN`, those first that see more of a picture than its places alone; one of
another package registers itself by the entry point group `mkdserve.methods`, or by `register`. A method's module is
imported when it is first asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from models.heads.base import Method, MethodConfig

DEFAULT_METHOD = "mkd"
BUILT_IN: Mapping[str, str] = {
    "mkd": "models.heads.mkd.method:MkdMethod",
    "combined": "models.heads.combined.method:CombinedMethod",
    "padim": "models.heads.padim.method:PadimMethod",
    "patchcore": "models.heads.patchcore.method:PatchcoreMethod",
    "spade": "models.heads.spade.method:SpadeMethod",
    "simplenet": "models.heads.simplenet.method:SimplenetMethod",
    "students": "models.heads.students.method:StudentsMethod",
    "fyd": "models.heads.fyd.method:FydMethod",
}
ENTRY_POINTS = "mkdserve.methods"
_registered: dict[str, Method[Any]] = {}


def register(method: Method[Any]) -> None:
    """Makes a method known under its name, for this process."""
    _registered[method.name] = method


def forget(name: str) -> None:
    """Takes back a `register`."""
    _registered.pop(name, None)


def method_names() -> list[str]:
    """All names, the built-in ones first."""
    return list(dict.fromkeys((*BUILT_IN, *_registered, *(point.name for point in _entry_points()))))


def method_of(name: str) -> Method[Any]:
    """The method of that name. Raises ValueError that lists the names and the nearest one."""
    if name in _registered:
        return _registered[name]
    if name in BUILT_IN:
        module, _, kind = BUILT_IN[name].partition(":")
        register(getattr(importlib.import_module(module), kind)())
        return _registered[name]
    for point in _entry_points():
        if point.name == name:
            register(point.load()())
            return _registered[name]
    names = method_names()
    near = difflib.get_close_matches(name, names, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(f"there is no method {name!r}{hint}; there are {', '.join(names)}")


def config_of(values: Mapping[str, object] | MethodConfig) -> MethodConfig:
    """Settings with a `method` -> the checked settings of that method; without one, those of the default method.

    Raises ValueError (pydantic's ValidationError among them) naming what is wrong.
    """
    if isinstance(values, MethodConfig):
        return values
    name = values.get("method", DEFAULT_METHOD)
    kind = method_of(str(name)).Config
    unknown = [key for key in values if key not in kind.model_fields]
    if unknown:
        raise ValueError(f"the method {name} has no setting {_with_nearest(unknown[0], list(kind.model_fields))}")
    return kind.model_validate({**values, "method": name})


def _with_nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    names = ", ".join(name for name in known if name != "method")
    return f"{key!r}{f' (did you mean {near[0]}?)' if near else ''}; it has {names}"


def _entry_points() -> Iterator[metadata.EntryPoint]:
    yield from metadata.entry_points(group=ENTRY_POINTS)
