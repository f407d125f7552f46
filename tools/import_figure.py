"""Draws which part of the packages imports which, as an SVG: `python -m tools.import_figure docs/images/imports.svg`.

A part lies above all that it imports, so arrows point down; one that is part of a circle is red. Each arrow has its
two ends as a title, which a browser shows under the pointer and the tests read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tools.import_graph import Graph, cycles, package_of, part_graph, rows

ROOT = Path(__file__).parents[1]
BOX_WIDTH, BOX_HEIGHT = 136, 30
GAP_X, GAP_Y, MARGIN = 34, 52, 12
FILLS = {"service": "#cfe3f7", "trainer": "#fde3c3", "models": "#d5efd5"}
STYLE = """
  text { font: 13px sans-serif; text-anchor: middle; fill: #1b1b1b; }
  rect { stroke: #5f6b76; rx: 5px; }
  .arrow { fill: none; stroke: #66727d; stroke-width: 1.1; stroke-opacity: 0.55; marker-end: url(#head); }
  .across { stroke-dasharray: 4 3; stroke-opacity: 0.4; }
  .circle { stroke: #c62828; stroke-opacity: 0.9; }
"""
HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#66727d"/></marker></defs>'
)


class Box(NamedTuple):
    """Where a part is drawn: the upper left corner, in pixels."""

    x: float
    y: float

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + BOX_WIDTH / 2


def drawn(graph: Graph) -> str:
    """The SVG's text."""
    ordered = rows(graph)
    widest = max(len(row) for row in ordered)
    width = 2 * MARGIN + widest * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + len(ordered) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    boxes = {part: box for number, row in enumerate(ordered) for part, box in placed(row, number, width)}
    circles = cycles(graph)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>Imports between the parts of {', '.join(FILLS)}</title><style>{STYLE}</style>{HEAD}",
        f'<rect width="{width}" height="{height}" style="fill: #ffffff; stroke: none"/>',
    ]
    arrows = [(part, to) for part in sorted(graph) for to in sorted(graph[part])]
    parts += [arrow(*ends, boxes, in_circle=any(circle.issuperset(ends) for circle in circles)) for ends in arrows]
    parts += [labelled(part, box) for part, box in sorted(boxes.items())]
    return "\n".join([*parts, "</svg>"]) + "\n"


def placed(row: list[str], number: int, width: float) -> list[tuple[str, Box]]:
    """The boxes of row `number`, spread over the figure's width."""
    step = (width - 2 * MARGIN) / len(row)
    y = MARGIN + number * (BOX_HEIGHT + GAP_Y)
    return [(part, Box(MARGIN + (at + 0.5) * step - BOX_WIDTH / 2, y)) for at, part in enumerate(row)]


def labelled(part: str, box: Box) -> str:
    """A part's box with its name."""
    fill = FILLS[package_of(part)]
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" style="fill: {fill}"/>'
        f'<text x="{box.middle:.1f}" y="{box.y + 20:.1f}">{part}</text>'
    )


def arrow(part: str, to: str, boxes: dict[str, Box], *, in_circle: bool) -> str:
    """The arrow from `part` to `to`, which it imports: down, or in a bow between boxes of one row."""
    start, end = boxes[part], boxes[to]
    kinds = ["arrow"]
    if package_of(part) != package_of(to):
        kinds.append("across")
    if in_circle:
        kinds.append("circle")
    top, bottom = start.y + BOX_HEIGHT, end.y
    if start.y == end.y:
        path = f"M{start.middle:.1f} {start.y:.1f}C{start.middle:.1f} {start.y - 40:.1f} "
        path += f"{end.middle:.1f} {end.y - 40:.1f} {end.middle:.1f} {end.y:.1f}"
    else:
        half = (top + bottom) / 2
        path = f"M{start.middle:.1f} {top:.1f}C{start.middle:.1f} {half:.1f} "
        path += f"{end.middle:.1f} {half:.1f} {end.middle:.1f} {bottom:.1f}"
    return f'<path class="{" ".join(kinds)}" d="{path}"><title>{part} imports {to}</title></path>'


def main(target: Path) -> int:
    """Write the figure of this repository to `target` and say whether there are circles; 0."""
    graph = part_graph(ROOT)
    target.write_text(drawn(graph), encoding="utf-8")
    arrows = sum(map(len, graph.values()))
    found = "; ".join(", ".join(sorted(circle)) for circle in cycles(graph))
    print(f"{target}: {len(graph)} parts, {arrows} arrows, {'circles: ' + found if found else 'no circle'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
