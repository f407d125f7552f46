"""No format takes more memory than the service plans with."""

from __future__ import annotations

import sys

import pytest

from benchmarks.image_memory import in_a_process
from models.imaging.limits import PEAK_BYTES

WORST = "WebP"
BY_BANDS = "TIFF, LZW, 16 bits"


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_the_format_that_takes_most_stays_within_what_is_planned_with() -> None:
    taken = in_a_process(WORST, 4, "overlay")
    assert 12 < taken <= PEAK_BYTES["WEBP"]


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_of_a_tiff_in_strips_nothing_but_the_finished_picture_is_held() -> None:
    taken = in_a_process(BY_BANDS, 4, "picture")
    assert 5.5 < taken < 7.5  # three colours of 16 bits, and a band


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_for_the_network_the_picture_itself_is_not_held() -> None:
    assert in_a_process(BY_BANDS, 12, "input") < 2  # some bands of 2 MiB, whatever the picture
