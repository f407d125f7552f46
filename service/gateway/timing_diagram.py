"""Draws what went over a station's signals as a timing diagram, PNG."""

from __future__ import annotations

from pathlib import Path

from service.gateway.libraries import need
from service.gateway.simulation import SIGNALS, Trace

HEIGHT, STEP = 0.7, 1.0
PLC_SIGNALS = frozenset({"Trigger", "Acknowledge"})


def draw(trace: Trace, window_s: float, file: Path) -> None:
    """One row a signal, the PLC's in another colour; the notes say what each part was told."""
    figure_module = need("matplotlib.figure", "train")
    figure = figure_module.Figure(figsize=(12, 5.5), layout="constrained")
    axes = figure.add_subplot()
    times = [1000 * at for at, _ in trace.levels]
    for row, name in enumerate(SIGNALS):
        base = (len(SIGNALS) - 1 - row) * STEP
        heights = [base + HEIGHT * levels[name] for _, levels in trace.levels]
        colour = "tab:orange" if name in PLC_SIGNALS else "tab:blue"
        axes.step(times, heights, where="post", color=colour, linewidth=1.4)
        axes.fill_between(times, base, heights, step="post", color=colour, alpha=0.15)
    top = len(SIGNALS) * STEP
    for place, (at, text) in enumerate(trace.notes):
        axes.axvline(1000 * at, color="grey", linewidth=0.6, linestyle=":")
        axes.text(1000 * at, top + 0.55 * (place % 2), text, fontsize=8, ha="center", va="bottom")
    axes.set_yticks([(len(SIGNALS) - 1 - row) * STEP + HEIGHT / 2 for row in range(len(SIGNALS))], SIGNALS)
    axes.set_ylim(-0.3, top + 1.4)
    axes.set_xlabel(f"milliseconds; window {1000 * window_s:g} ms; orange: written by the PLC, blue: by the gateway")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(file, dpi=110, format="png")
