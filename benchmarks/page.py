"""The records in benchmarks/results in; docs/benchmarks.md with its plot out. Nothing is measured here.

`python -m benchmarks.page`. What has no record yet is said to be unmeasured; benchmarks/notes.md is the page's end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.harness.report import RESULTS

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = "<!-- not run: takes minutes -->"  # by the tests of the pages' commands
PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "images" / "benchmarks.png"
NOTES = Path(__file__).with_name("notes.md")
HEAD = """# Benchmarks

`make bench` measures all of this and writes this page; `python -m benchmarks.suite --quick` takes some minutes and
proves little. Each part is a command of its own (`benchmarks/README.md`), and its whole record, with every round, the
machine's load before it and the versions, is in `benchmarks/results/*.json`. The client of the HTTP parts runs on the
same machine.
"""
Record = Mapping[str, Any]
ENOUGH_FOR_P99 = 20  # batches
TITLES = {
    "reference": "reference way",
    "bfloat16": "ours in bfloat16",
    "patchcore": "anomalib PatchCore",
    "stfpm": "anomalib STFPM",
}


def main() -> None:
    """Write page and plot."""
    records = read(RESULTS)
    PAGE.write_text(page(records, NOTES.read_text(encoding="utf-8")), encoding="utf-8")
    if "contenders" in records:
        plot(records["contenders"], PLOT)
    print(f"{PAGE.relative_to(ROOT)} from {len(records)} records")


def read(folder: Path) -> dict[str, Record]:
    """Records by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def page(records: Mapping[str, Record], notes: str) -> str:
    """The whole page."""
    sections: tuple[tuple[str, str, Callable[[Record], list[str]]], ...] = (
        ("Bare detectors", "contenders", detectors),
        ("Roofline", "roofline", roofline),
        ("Beside LitServe", "peers_http", litserve),
        ("Training", "training", training),
    )
    lines = [HEAD, *machines(records), "## Promises", "", *bars(records)]
    for title, name, write in sections:
        lines += ["", f"## {title}", "", NOT_RUN, "", f"    python -m benchmarks.{name}", ""]
        lines += write(records[name]) if name in records else ["Not measured yet."]
    return "\n".join([*lines, "", notes])


def machines(records: Mapping[str, Record]) -> list[str]:
    """What was measured on, and when; one line for each machine."""
    found: dict[str, list[str]] = {}
    for name, record in records.items():
        where = record["machine"]
        packages = ", ".join(f"{key} {where['packages'][key]}" for key in ("torch", "ncnn") if key in where["packages"])
        text = (
            f"{where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB, Python {where['python']}, {packages}"
        )
        found.setdefault(text, []).append(
            f"{name} {record['made_at'][:16].replace('T', ' ')} (load {where['load_before']})"
        )
    return [line for text, names in found.items() for line in (f"*{text}.* Measured at (UTC): {'; '.join(names)}.", "")]


def bars(records: Mapping[str, Record]) -> list[str]:
    """Every promise with what was measured."""
    rows = ["| Record | What | Measured | Bar | |", "|---|---|---|---|---|"]
    for name, record in records.items():
        for bar in record["bars"]:
            measured = f"{bar['measured']:.4g}{bar['unit']}"
            verdict = "met" if bar["met"] else "**missed**"
            rows.append(
                f"| {name} | {bar['what']} | {measured} | {bar['sense']} {bar['bar']:g}{bar['unit']} | {verdict} |"
            )
    return rows


def detectors(record: Record) -> list[str]:
    """Rates and times by batch."""
    results = record["results"]
    base = {(row["batch"], row["maps"]): row["images_per_s"] for row in results["rates"] if row["name"] == "reference"}
    rows = [
        f"{results['network_input_px']} pixels, {results['threads']} threads. Times are of a whole batch. The "
        "reference way is the paper's code: torch, NCHW, image by image, gradients through both networks. Peers have "
        "random weights. *Ours in bfloat16* runs the same head; artifacts are trained for it, as scores differ then "
        "([train.md](train.md)). Where a turn held fewer than 20 batches no p99 is given.",
        "",
        "![images a second](images/benchmarks.png)",
        "",
        "| Detector | Batch | Score, images/s | times | p50, p99 ms | Localize, images/s | times | p50, p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for batch in sorted({row["batch"] for row in results["rates"]}):
        for name in dict.fromkeys(row["name"] for row in results["rates"]):
            cells = [TITLES.get(name, name), str(batch)]
            for maps in (False, True):
                row = next(r for r in results["rates"] if (r["name"], r["batch"], r["maps"]) == (name, batch, maps))
                share = row["images_per_s"] / base[batch, maps]
                cells += [f"{row['images_per_s']:.1f}", f"{share:.2f}x", times_of(row)]
            rows.append(f"| {' | '.join(cells)} |")
    memory = ", ".join(f"{TITLES.get(name, name)} {mib} MiB" for name, mib in results["resident_mib"].items())
    rows += ["", f"Resident memory of each process: {memory}."]
    rows += [f"{TITLES.get(name, name)}: {why}." for name, why in results["missing"].items()]
    return rows


def times_of(row: Record) -> str:
    """p50 and p99 of a row; of a few batches there is no 99th percentile."""
    p99 = f"{row['p99_ms']:.0f}" if row["batches"] >= ENOUGH_FOR_P99 else "-"
    return f"{row['p50_ms']:.0f}, {p99}"


def roofline(record: Record) -> list[str]:
    """The matrix rate and each engine's share."""
    results = record["results"]
    rows = [
        f"Measured matrix rate: {results['matrix_gflops']} GFLOP/s in float32 on {results['threads']} threads"
        f"{_half_rate(results)}. One pass "
        f"of the source is {results['source_gflop_per_image']} GFLOP at {results['network_input_px']} pixels, counted "
        "as plain convolutions.",
        "",
        "| Engine | ms an image, batch 16 | GFLOP/s | share of the matrix rate | share if counted as Winograd F(4,3) |",
        "|---|---|---|---|---|",
    ]
    for name, spent in results["source_ms_per_image"].items():
        shares = f"{results['share_of_matrix_rate'][name]:.0%} | {results['share_counted_as_winograd'][name]:.0%}"
        rows.append(f"| {name} | {spent} | {results['source_gflops'][name]} | {shares} |")
    return rows


def _half_rate(results: Record) -> str:
    rate = results.get("bfloat16_matrix_gflops")
    return "" if rate is None else f", {rate} in bfloat16, which that engine's share is of"


def litserve(record: Record) -> list[str]:
    """Both services."""
    results = record["results"]
    if "missing" in results:
        return [f"{results['missing']}."]
    rows = ["| Service | Images/s | p50, p99 ms |", "|---|---|---|"]
    for name, title in (("ours", "this service"), ("litserve", "LitServe around the same detector")):
        times = results[f"{name}_ms"]
        rows.append(f"| {title} | {results[f'{name}_images_per_s']['median']} | {times['p50']}, {times['p99']} |")
    return [
        f"{record['settings']['clients']} clients with one image each, batches of {record['settings']['batch']}.",
        "",
        *rows,
    ]


def training(record: Record) -> list[str]:
    """Both ways."""
    results = record["results"]
    rows = [
        f"{results['images']} images of {results['network_input_px']} pixels, {results['epochs']} epochs; the caching "
        f"pass of {results['caching_pass_s']} s ({results['engine_of_the_caching_pass']}) is part of our rate.",
        "",
        "| Way | Images/s over the run | ms a step of 16 | Loss at the end | Image AUROC |",
        "|---|---|---|---|---|",
    ]
    for name in ("reference", "ours"):
        cells = ("images_per_s_over_the_run", "step_ms", "loss_of_the_last_ten_steps", "image_auroc")
        rows.append(f"| {name} | {' | '.join(str(results[cell][name]) for cell in cells)} |")
    return rows


def plot(record: Record, file: Path) -> None:
    """Images a second at each batch, score and localize."""
    rates = record["results"]["rates"]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    names: Sequence[str] = list(dict.fromkeys(row["name"] for row in rates))
    batches = sorted({row["batch"] for row in rates})
    for place, (maps, title) in enumerate(((False, "score"), (True, "localize")), start=1):
        axes = figure.add_subplot(1, 2, place)
        for number, name in enumerate(names):
            values = [
                next(
                    row["images_per_s"]
                    for row in rates
                    if (row["name"], row["batch"], row["maps"]) == (name, batch, maps)
                )
                for batch in batches
            ]
            width = 0.8 / len(names)
            axes.bar([at + number * width for at in range(len(batches))], values, width, label=TITLES.get(name, name))
        axes.set_xticks(
            [at + 0.4 - 0.4 / len(names) for at in range(len(batches))], [f"batch {batch}" for batch in batches]
        )
        axes.set_title(f"{title}, images/s")
    figure.axes[0].legend(fontsize=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
