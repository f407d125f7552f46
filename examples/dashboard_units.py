"""A number and a Grafana unit in, the text that a person reads out."""

from __future__ import annotations

import math
from collections.abc import Sequence

SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def text_of(value: float, unit: str, decimals: int | None = None) -> str:
    """As Grafana shows it: 0.25 percentunit is 25 %, 0.25 s is 250 ms. Units that it does not know get no word."""
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{_number(100 * value, decimals)} %"
    if unit == "s":
        return _scaled(value, SECONDS, decimals)
    if unit == "bytes":
        return _scaled(value, BYTES, decimals)
    if unit.startswith("suffix:"):
        return f"{_number(value, decimals)} {unit.removeprefix('suffix:').strip()}"
    return _number(value, decimals)


def _scaled(value: float, scale: Sequence[tuple[float, str]], decimals: int | None) -> str:
    size, word = next(((size, word) for size, word in scale if abs(value) >= size), scale[-1])
    if value == 0:
        return "0"
    return f"{_number(value / size, decimals)} {word}"


def _number(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")
