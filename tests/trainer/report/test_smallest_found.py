"""The sentence about painted defects names the axis along which they begin to be found."""

from __future__ import annotations

from typing import Any

from trainer.report.smallest_found import smallest_found

SIZES, CONTRASTS = ((0.001, 0.01), (0.01, 0.1)), ((0.03, 0.15), (0.15, 0.5))


def record(*found: int) -> dict[str, Any]:
    """`found` of 20 in each cell, sizes outside, contrasts inside; the picture has 100 x 100 pixels."""
    cells = [
        {"size": list(size), "contrast": list(contrast), "not_ok": {"count": count, "total": 20}}
        for (size, contrast), count in zip(((s, c) for s in SIZES for c in CONTRASTS), found, strict=True)
    ]
    return {"cells": cells, "picture_px": 10_000}


def test_large_defects_are_found_whatever_their_contrast() -> None:
    assert "100 % are found from a size of 1 % of the picture (about 10 x 10 pixels) on" in smallest_found(
        record(0, 0, 20, 20)
    )


def test_strong_ones_are_found_whatever_their_size() -> None:
    assert "95 % are found from a contrast of 15 % of white on" in smallest_found(record(0, 18, 0, 20))


def test_where_neither_is_enough_the_most_is_said() -> None:
    assert "50 % are found at most" in smallest_found(record(0, 10, 0, 10))


def test_few_defects_say_nothing() -> None:
    few = record(0, 0, 0, 0)
    few["cells"] = [cell | {"not_ok": {"count": 0, "total": 2}} for cell in few["cells"]]
    assert smallest_found(few).startswith("Too few")
