"""Which part of the packages imports which, read from the import statements, and the layers that follow from it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGES = ("service", "trainer", "models")

Graph = dict[str, set[str]]


def part_graph(root: Path) -> Graph:
    """Part -> the parts that a module in it imports, itself left out. What is there for type checkers alone is not.

    A part is a folder right under a package with all that lies in it, as `service.engine`. The modules beside these
    folders make two parts: `service` are those that import such a folder, `service (base)` those that do not. The
    package's `__main__`, which no module imports, is `service (command)`.
    """
    modules = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for package in PACKAGES
        for file in sorted((root / package).rglob("*.py"))
    }
    imports = {name: _imported(file, modules) for name, file in modules.items()}
    parts = {name: _part(name, imports, modules) for name in modules}
    graph: Graph = {part: set() for part in parts.values()}
    for name, targets in imports.items():
        graph[parts[name]] |= {parts[target] for target in targets} - {parts[name]}
    return {part: targets for part, targets in graph.items() if part not in PACKAGES or targets}


def _imported(file: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that `file` imports, of those that are ours."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {
        inside
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inside in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for name in names if (module := _module(name, modules))}


def _module(name: str, modules: dict[str, Path]) -> str | None:
    """The module that holds the module or object `name`, or None where it is none of ours."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name if name in modules else None


def _part(name: str, imports: dict[str, set[str]], modules: dict[str, Path]) -> str:
    """The part that module `name` belongs to."""
    if _in_folder(name, modules):
        return ".".join(name.split(".")[:2])
    package = name.partition(".")[0]
    if name == f"{package}.__main__":
        return f"{package} (command)"
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += [target for target in imports[module] if target.partition(".")[0] == package]
    return package if any(_in_folder(module, modules) for module in seen) else f"{package} (base)"


def _in_folder(name: str, modules: dict[str, Path]) -> bool:
    """Whether module `name` lies in a folder of its package, or is that folder's own."""
    parts = name.split(".")
    return len(parts) > 2 or (len(parts) == 2 and modules[name].name == "__init__.py")


def cycles(graph: Graph) -> list[set[str]]:
    """The sets of parts that import each other in a circle."""
    reached = {part: _reached(graph, part) for part in graph}
    found = {frozenset(other for other in reached[part] if part in reached[other]) for part in graph}
    return [set(members) for members in sorted(found, key=sorted) if members]


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            waiting += graph[part]
    return seen


def layers(graph: Graph) -> dict[str, int]:
    """Part -> its layer: 0 imports nothing, every other one lies above all that it imports.

    Parts of one cycle share a layer.
    """
    together = {part: members for members in cycles(graph) for part in members}
    found: dict[str, int] = {}

    def layer(part: str) -> int:
        if part not in found:
            members = together.get(part, {part})
            below = {to for member in members for to in graph[member]} - members
            height = 1 + max(map(layer, sorted(below)), default=-1)
            found.update(dict.fromkeys(members, height))
        return found[part]

    for part in sorted(graph):
        layer(part)
    return found


def rows(graph: Graph) -> list[list[str]]:
    """The parts by layer, the highest first, each row by package and then in an order that keeps its arrows short."""
    by_layer: dict[int, list[str]] = defaultdict(list)
    for part, layer in sorted(layers(graph).items()):
        by_layer[layer].append(part)
    ordered = [by_layer[layer] for layer in sorted(by_layer, reverse=True)]
    for _ in range(8):
        place = {part: (number + 0.5) / len(row) for row in ordered for number, part in enumerate(row)}
        ordered = [sorted(row, key=lambda part: _order(graph, place, part)) for row in ordered]
    return ordered


def package_of(part: str) -> str:
    """The package of a part."""
    return part.partition(".")[0].partition(" ")[0]


def _order(graph: Graph, place: dict[str, float], part: str) -> tuple[int, float, str]:
    return PACKAGES.index(package_of(part)), _middle(graph, place, part), part


def _middle(graph: Graph, place: dict[str, float], part: str) -> float:
    near = [place[other] for other in graph if other in graph[part] or part in graph[other]]
    return round(sum(near) / len(near), 6) if near else place[part]
