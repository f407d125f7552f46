"""The protocol subclasses one of uvicorn's: its version is bounded, and everything that is taken from it is there."""

from __future__ import annotations

import ast
import asyncio
import tomllib
from importlib.metadata import version
from pathlib import Path

import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.rest import bounded_protocol, protocol
from service.rest.bounded_protocol import UVICORN_CYCLE_PARTS, UVICORN_PARTS

ROOT = Path(__file__).parents[3]


def test_uvicorns_version_has_an_upper_bound_and_the_installed_one_is_within() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = [one for text in project["dependencies"] if (one := Requirement(text)).name == "uvicorn"]
    assert any(row.operator in ("<", "<=", "==", "~=") for row in bound.specifier)
    assert version("uvicorn") in bound.specifier


def test_uvicorn_has_every_part_that_is_taken_from_it() -> None:
    async def made() -> HttpToolsProtocol:
        return HttpToolsProtocol(uvicorn.Config(lambda: None), ServerState(), {})

    instance = asyncio.run(made())
    instance.on_message_begin()  # sets what a request begins with
    missing = [name for name in UVICORN_PARTS if not hasattr(instance, name)]
    assert missing == []
    cycle = ast.parse(Path(str(RequestResponseCycle.run_asgi.__code__.co_filename)).read_text(encoding="utf-8"))
    set_there = {node.attr for node in ast.walk(cycle) if isinstance(node, ast.Attribute)}
    assert set(UVICORN_CYCLE_PARTS) <= set_there


def test_the_list_of_parts_leaves_nothing_out() -> None:
    """Whatever our classes use of `self` is theirs, asyncio's, or in the list."""
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (bounded_protocol, protocol)]
    used, own = set(), {"checks", "header_timeout_s", "max_header_bytes", "send_timeout_s"}
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.FunctionDef):
            own.add(node.name)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            used.add(node.attr)
            if isinstance(node.ctx, ast.Store) and node.attr.startswith("_"):
                own.add(node.attr)
    assert used - own - set(UVICORN_PARTS) == set()
