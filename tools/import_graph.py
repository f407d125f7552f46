"""Which folder of the packages imports which, read from the import statements, and the layers that follow from it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGES = ("service", "trainer", "models")

Graph = dict[str, set[str]]


def folder_graph(root: Path) -> Graph:
    """Folder, as `service.engine` -> the folders of PACKAGES that a module in it imports, itself left out.

    Modules that lie in a package itself belong to the folder of its name, `service`. Imports for type checkers count:
    who reads the code has to follow them, too.
    """
    graph: Graph = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            folder = ".".join(file.relative_to(root).parent.parts)
            graph.setdefault(folder, set()).update(_folders(root, file) - {folder})
    return {folder: {to for to in targets if to in graph} for folder, targets in graph.items()}


def _folders(root: Path, file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {_folder(root, name) for name in names if name.partition(".")[0] in PACKAGES}


def _folder(root: Path, name: str) -> str:
    """The folder of the module or object `name`: the longest beginning of it that is a folder."""
    parts = name.split(".")
    while not (root / Path(*parts)).is_dir():
        parts.pop()
    return ".".join(parts)


def cycles(graph: Graph) -> list[set[str]]:
    """The sets of folders that import each other in a circle."""
    reached = {folder: _reached(graph, folder) for folder in graph}
    found = {frozenset(other for other in reached[folder] if folder in reached[other]) for folder in graph}
    return [set(members) for members in sorted(found, key=sorted) if members]


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        folder = waiting.pop()
        if folder not in seen:
            seen.add(folder)
            waiting += graph[folder]
    return seen


def layers(graph: Graph) -> dict[str, int]:
    """Folder -> its layer: 0 imports nothing, every other one lies above all that it imports.

    Folders of one cycle share a layer.
    """
    together = {folder: members for members in cycles(graph) for folder in members}
    found: dict[str, int] = {}

    def layer(folder: str) -> int:
        if folder not in found:
            members = together.get(folder, {folder})
            below = {to for member in members for to in graph[member]} - members
            height = 1 + max(map(layer, sorted(below)), default=-1)
            found.update(dict.fromkeys(members, height))
        return found[folder]

    for folder in sorted(graph):
        layer(folder)
    return found


def rows(graph: Graph) -> list[list[str]]:
    """The folders by layer, the highest first, each row by package and then in an order that keeps its arrows short."""
    by_layer: dict[int, list[str]] = defaultdict(list)
    for folder, layer in sorted(layers(graph).items()):
        by_layer[layer].append(folder)
    ordered = [by_layer[layer] for layer in sorted(by_layer, reverse=True)]
    for _ in range(8):
        place = {folder: (number + 0.5) / len(row) for row in ordered for number, folder in enumerate(row)}
        ordered = [sorted(row, key=lambda folder: _order(graph, place, folder)) for row in ordered]
    return ordered


def _order(graph: Graph, place: dict[str, float], folder: str) -> tuple[int, float, str]:
    return PACKAGES.index(folder.partition(".")[0]), _middle(graph, place, folder), folder


def _middle(graph: Graph, place: dict[str, float], folder: str) -> float:
    near = [place[other] for other in graph if other in graph[folder] or folder in graph[other]]
    return round(sum(near) / len(near), 6) if near else place[folder]
