"""Scores and labels in, PNG bytes of the report's plots out (matplotlib, no screen)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from models.calibration.conformal import Thresholds

GOOD_COLOUR, BAD_COLOUR, NG_COLOUR, REVIEW_COLOUR = "#2a7f62", "#c0392b", "#7b1e12", "#d68910"
MAP_COLOUR = "#1f6f8b"
Floats = npt.NDArray[np.float32]


def new_figure(width: float = 5.0, height: float = 3.4) -> Figure:
    """An empty figure of that size in inches, without a screen."""
    figure = Figure(figsize=(width, height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def score_histogram(
    counted: Sequence[float], good: Floats, bad: Floats, thresholds: Thresholds, how: str = "held out"
) -> bytes:
    """Scores of the good parts that thresholds are counted on (`how` says which), of good and of defective parts of the
    test, with the two thresholds."""
    figure = new_figure()
    axes = figure.subplots()
    everything = np.concatenate([np.asarray(counted), good, bad])
    edges = np.histogram_bin_edges(everything, bins=40).tolist()
    axes.hist(bad, bins=edges, color=BAD_COLOUR, alpha=0.6, label=f"defective ({len(bad)})")
    axes.hist(good, bins=edges, color=GOOD_COLOUR, alpha=0.6, label=f"good, test ({len(good)})")
    axes.hist(counted, bins=edges, histtype="step", color="black", label=f"good, {how} ({len(counted)})")
    if thresholds.review is not None:
        axes.axvline(thresholds.review.value, color=REVIEW_COLOUR, linestyle="--", label="REVIEW above")
    axes.axvline(thresholds.ng.value, color=NG_COLOUR, label="NG above")
    axes.set_xlabel("score")
    axes.set_ylabel("images")
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def roc(
    anomalous: npt.NDArray[np.bool_], scores: Floats, auroc: float, marks: Sequence[tuple[float, float, float]] = ()
) -> bytes:
    """The ROC curve of the image scores; `marks` are (promised rate, share of good, share of defects above)."""
    figure = new_figure()
    axes = figure.subplots()
    false_rejects, found, _ = roc_curve(anomalous, scores)
    axes.plot(false_rejects, found, color=BAD_COLOUR, label=f"score, AUROC {100 * auroc:.1f} %")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    for promised, rejected, caught in marks:
        axes.plot(rejected, caught, marker="o", color=NG_COLOUR, markersize=4)
        words = f"{100 * promised:.2g} %"
        axes.annotate(words, (rejected, caught), (6, -4), textcoords="offset points", fontsize=7, color=NG_COLOUR)
    axes.set_xlabel("good parts rejected")
    axes.set_ylabel("defective parts found")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def pro(rates: Sequence[float], overlaps: Sequence[float], area: float) -> bytes:
    """The per-region-overlap curve of the maps."""
    figure = new_figure()
    axes = figure.subplots()
    axes.plot(rates, overlaps, color=MAP_COLOUR, label=f"map, PRO {100 * area:.1f} %")
    axes.fill_between(rates, overlaps, color=MAP_COLOUR, alpha=0.12)
    axes.set_xlim(0, rates[-1])
    axes.set_ylim(0, 1)
    axes.set_xlabel("good area lit")
    axes.set_ylabel("mean share of a defect that is lit")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)
