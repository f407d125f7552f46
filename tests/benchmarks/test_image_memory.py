"""No format takes more memory than the service plans with."""

from __future__ import annotations

import sys

import pytest

from benchmarks.image_memory import in_a_process
from models.imaging.limits import PEAK_BYTES

WORST = "TIFF, LZW, 16 bits"


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_the_format_that_takes_most_stays_within_what_is_planned_with() -> None:
    taken = in_a_process(WORST, 4, with_overlay=True)
    assert 12 < taken <= PEAK_BYTES  # 16-bit colours with their overlay cannot take less than 12
