"""The page of figures: what it says of records, of missing ones, and of bars that were missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import page, suite
from benchmarks.contenders import BATCHES, Key, bars_of, rows
from benchmarks.harness.report import RESULTS
from benchmarks.roofline import operations
from models.sources.registry import SOURCES

PNG = b"\x89PNG"
SECONDS: dict[Key, list[float]] = {
    (name, batch, maps): [batch * each * (1.2 if maps else 1.0)] * 3
    for name, each in (("reference", 0.1), ("torch", 0.05), ("ncnn", 0.025))
    for batch in BATCHES
    for maps in (False, True)
}


def record(results: dict[str, Any], *bars: dict[str, Any]) -> dict[str, Any]:
    machine = {
        "cpu": "A CPU",
        "cores": 2,
        "memory_gib": 8,
        "python": "3.11",
        "packages": {"torch": "2"},
        "load_before": 0,
    }
    settings = {"clients": 4, "batch": 16}
    return {
        "made_at": "2026-01-01T00:00:00",
        "machine": machine,
        "settings": settings,
        "results": results,
        "bars": bars,
    }


def detectors(missing: dict[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"network_input_px": 128, "threads": 2, "resident_mib": {"ncnn": 900}, "missing": missing}
    return record({"rates": rows(SECONDS), **shown})


def test_what_was_not_measured_is_said_to_be_so() -> None:
    text = page.page({}, "the end")
    assert text.count("Not measured yet.") == 4
    assert text.endswith("the end")


def test_a_missed_bar_stands_out() -> None:
    bar = {"what": "goodput", "measured": 0.81, "sense": ">=", "bar": 0.95, "unit": "", "met": False}
    assert "| http_open_loop | goodput | 0.81 | >= 0.95 | **missed** |" in page.page(
        {"http_open_loop": record({}, bar)}, ""
    )


def test_rates_stand_beside_the_reference_way() -> None:
    text = page.page({"contenders": detectors({})}, "")
    assert "| ncnn | 8 | 40.0 | 4.00x | 200, - | 33.3 | 4.00x | 240, - |" in text
    assert "ncnn 900 MiB" in text
    assert "A CPU, 2 cores" in text


def test_a_peer_that_is_not_installed_is_named() -> None:
    text = page.page({"contenders": detectors({"patchcore": "not installed"})}, "")
    assert "anomalib PatchCore: not installed." in text
    assert "litserve is not installed." in page.page(
        {"peers_http": record({"missing": "litserve is not installed"})}, ""
    )


def test_the_promises_are_those_of_the_fastest_engine() -> None:
    measured = [bar.measured for bar in bars_of(SECONDS)]
    assert [round(value, 6) for value in measured] == [4.0, 4.0, 0.5, 1.2]


def test_bfloat16_has_promises_of_its_own_and_none_of_those_of_float32() -> None:
    half: dict[Key, list[float]] = {
        ("bfloat16", batch, maps): [batch * 0.005] * 3 for batch in BATCHES for maps in (False, True)
    }
    bars = bars_of({**SECONDS, **half})
    assert [round(bar.measured, 6) for bar in bars] == [4.0, 4.0, 0.5, 1.2, 20.0, 24.0, 0.1, 1.0]
    assert ["bfloat16" in bar.what for bar in bars] == [False] * 4 + [True] * 4


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    page.plot(detectors({}), tmp_path / "images" / "plot.png")
    assert (tmp_path / "images" / "plot.png").read_bytes()[:4] == PNG


def test_the_records_of_the_repository_make_the_page() -> None:
    records = page.read(RESULTS)
    assert records
    assert "# Benchmarks" in page.page(records, page.NOTES.read_text(encoding="utf-8"))


def test_every_part_of_the_suite_is_a_command_of_its_own() -> None:
    folder = Path(suite.__file__).parent
    for part in suite.PARTS.values():
        assert (folder / f"{part.name}.py").is_file(), part


def test_the_sources_operations_are_those_of_its_convolutions() -> None:
    # VGG-16's convolutions at 224 pixels are known to take 15.3 billion multiply-adds.
    assert round(operations(SOURCES["vgg16"], 224) / 2e9, 1) == 15.3
