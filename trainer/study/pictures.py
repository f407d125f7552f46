"""The lines and results of a study in, its plots as PNG files out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from trainer.report.plots import new_figure, png
from trainer.study.results import Result
from trainer.study.summary import LOOKED_AT, Line

GREY = "#8a949e"
COLOURS = ("#1f6f8b", "#c0392b", "#2a7f62", "#d68910", "#7d5ba6", "#5b6770", "#b0568a", "#3b5bb5")


def write_pictures(folder: Path, lines: Sequence[Line], results: Sequence[Result]) -> list[str]:
    """Writes figures.png (every seed a dot) and training.png (the last third). Returns the names written."""
    written = []
    if any(spread for line in lines for spread in line.figures.values()):
        (folder / "figures.png").write_bytes(_figures(lines))
        written.append("figures.png")
    if any(len(one["figures"]["checkpoints"]) > 1 for one in results if "figures" in one):
        (folder / "training.png").write_bytes(_training(results))
        written.append("training.png")
    return written


def _figures(lines: Sequence[Line]) -> bytes:
    data = list(dict.fromkeys(line.data for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines))
    # A row for each method and a gap between data sets.
    figure = new_figure(10, 1.2 + 0.26 * (len(data) * (len(methods) + 1)))
    names = [name for name in LOOKED_AT if any(line.figures[name] for line in lines)]
    for axes, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        _dots(axes, lines, data, methods, name)
        axes.set_xlabel(f"{name.replace('_auroc', ' AUROC')}, %")
        axes.grid(axis="x", color="#e4e8ec", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return png(figure)


def _dots(axes: Axes, lines: Sequence[Line], data: list[str], methods: list[str], name: str) -> None:
    places, labels = [], []
    for line in lines:
        place = data.index(line.data) * (len(methods) + 1) + methods.index(line.method)
        places.append(place)
        labels.append(f"{line.data}: {line.method}")
        spread = line.figures[name]
        if spread is None:
            continue
        colour = GREY if line.control else COLOURS[methods.index(line.method) % len(COLOURS)]
        axes.plot([100 * spread.low, 100 * spread.high], [place, place], color=colour, linewidth=2, alpha=0.4)
        axes.scatter([100 * value for value in spread.values], [place] * len(spread.values), color=colour, s=14)
        axes.plot(100 * spread.mean, place, marker="|", color=colour, markersize=11)
    axes.set_yticks(places, labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()


def _training(results: Sequence[Result]) -> bytes:
    runs = [one for one in results if len(one.get("figures", {}).get("checkpoints", ())) > 1]
    data = list(dict.fromkeys(one["data"] for one in runs))
    methods = list(dict.fromkeys(one["variant"] for one in runs))
    columns = min(3, len(data))
    rows = -(-len(data) // columns)
    figure = new_figure(4 * columns, 2.8 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        axes.set_visible(place < len(data))
    for one in runs:
        axes = grid.flat[data.index(one["data"])]
        points = one["figures"]["checkpoints"]
        number = methods.index(one["variant"])
        axes.plot(
            [point["step"] for point in points],
            [100 * point["image_auroc"] for point in points],
            color=COLOURS[number % len(COLOURS)],
            marker=".",
            linewidth=1,
            label=one["variant"] if one["seed"] == min(r["seed"] for r in runs) else None,
        )
        axes.set_title(one["data"], fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel("image AUROC, %", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    grid.flat[0].legend(frameon=False, fontsize=7)
    return png(figure)
