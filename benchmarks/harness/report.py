"""What a benchmark has measured in; a table for people and benchmarks/results/NAME.json for the record out."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from models.backends.processor import processor_name

RESULTS = Path(__file__).resolve().parents[1] / "results"
PACKAGES = (
    "mkdserve",
    "torch",
    "ncnn",
    "numpy",
    "opencv-python-headless",
    "fastapi",
    "starlette",
    "uvicorn",
    "onnxruntime",
    "httptools",
)


@dataclass(frozen=True)
class Bar:
    """One thing that was promised: `measured` must be at least, or at most, `bar`."""

    what: str
    measured: float
    sense: Literal[">=", "<="]
    bar: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.bar if self.sense == ">=" else self.measured <= self.bar


def options_of(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    options = argparse.ArgumentParser(description=(description or "").split("\n", 1)[0])
    options.add_argument("--artifact", type=Path, help="artifact folder; without it a short one is trained")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    options.add_argument("--note", default="", help="a word on the run, kept in the result")
    return options


def settings_of(given: argparse.Namespace) -> dict[str, object]:
    """The options of a run without the paths of this machine."""
    return {name: value for name, value in vars(given).items() if not isinstance(value, Path)}


def spread(values: Sequence[float]) -> dict[str, object]:
    """Median and all values, rounded."""
    return {"median": round(statistics.median(values), 3), "all": [round(value, 3) for value in values]}


def machine() -> dict[str, object]:
    """What a reader needs to judge the figures; nothing that names the machine."""
    return {
        "cpu": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := version_of(name))},
        "load_before": round(os.getloadavg()[0], 2),
    }


def version_of(package: str) -> str | None:
    """Its version, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def report(
    name: str,
    given: argparse.Namespace,
    where: Mapping[str, object],
    results: Mapping[str, object],
    bars: Sequence[Bar],
) -> int:
    """Writes NAME.json, prints the table; 0 where every bar is met, else 1."""
    document = {
        "benchmark": name,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": where,
        "settings": settings_of(given),
        "results": results,
        "bars": [{**asdict(bar), "measured": round(bar.measured, 4), "met": bar.met} for bar in bars],
    }
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / f"{name}.json"
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"\n{name}: {where['cpu']}, {where['cores']} cores, Python {where['python']}, {_packages(where)}")
    print("settings: " + ", ".join(f"{key} {value}" for key, value in settings_of(given).items() if value != ""))
    for key, value in results.items():
        print(f"  {key.replace('_', ' '):<44} {_short(value)}")
    for bar in bars:
        mark = "met   " if bar.met else "MISSED"
        print(f"  {mark} {bar.what}: {bar.measured:.4g}{bar.unit} (bar {bar.sense} {bar.bar:g}{bar.unit})")
    print(f"  written to {file.parent.name}/{file.name}")
    return 0 if all(bar.met for bar in bars) else 1


def _packages(where: Mapping[str, object]) -> str:
    packages = where["packages"]
    assert isinstance(packages, dict)
    return ", ".join(f"{name} {packages[name]}" for name in ("torch", "ncnn", "uvicorn") if name in packages)


def _short(value: object) -> str:
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']}   ({', '.join(map(str, value['all']))})"
    return str(value)
