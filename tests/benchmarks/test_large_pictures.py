"""The benchmark of large pictures at a small scale: a strip in tiles, no seam, a small defect boxed where it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest
import torch

from benchmarks.large_pictures import SEAM, Case, judged


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_defect_on_the_border_of_two_tiles_is_found_and_boxed_without_a_seam(
    source_weights: Mapping[str, torch.Tensor],
) -> None:
    case = Case("strip", 480, 128, ".png", side=64, image_size=64)
    found = judged(case, "vgg16", "torch")
    assert found["tiles"] == case.tiling.count > 6
    assert found["hottest_on_it"] == 1
    assert isinstance(found["seam"], float)
    assert found["seam"] < SEAM
    assert isinstance(found["score_ratio"], float)
    assert found["score_ratio"] > 1.05
    assert isinstance(found["box"], list)
    assert isinstance(found["defect"], list)
    x, y, width, height = found["box"]
    left, top, across, down = found["defect"]
    assert x <= left + across / 2 <= x + width
    assert y <= top + down / 2 <= y + height
    assert width * height < 0.25 * case.width * case.height
