"""The pictures of a report are of two widths, and a page that is wider than its window is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

pytest.importorskip("playwright", reason="needs playwright: pip install 'mkdserve[dev]'")

from tools.report_pictures import main

HEAD = '<meta name="viewport" content="width=device-width"><h1>Report</h1>'


def test_a_report_is_photographed_at_both_widths_and_a_wide_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    good, wide = tmp_path / "good.html", tmp_path / "wide.html"
    good.write_text(HEAD)
    wide.write_text(HEAD + '<div style="width: 700px">wide</div>')
    assert main([str(good), "--out", str(tmp_path / "good")]) == 0
    for width, height in ((1200, 1000), (390, 844)):
        picture = cv2.imread(str(tmp_path / "good" / f"report-{width}.png"))
        assert picture is not None
        assert picture.shape == (height, width, 3)
    assert main([str(wide), "--out", str(tmp_path / "wide")]) == 1
    assert "wider than a window of 390" in capsys.readouterr().err


def test_a_report_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.html")]) == 1
    assert "is not there" in capsys.readouterr().err
