"""Sizes in words."""

from __future__ import annotations

import pytest

from models.imaging.decode import ImageError, ImageLimits
from models.sizes import size_words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999_999, "999,999 bytes"), (33_554_432, "33.6 MB (33,554,432 bytes)")],
)
def test_large_sizes_are_told_in_megabytes_and_all_to_the_byte(count: int, words: str) -> None:
    assert size_words(count) == words


def test_a_file_that_is_too_large_is_told_so_in_megabytes() -> None:
    with pytest.raises(ImageError, match=r"2\.0 MB \(2,000,001 bytes\); at most 2\.0 MB \(2,000,000 bytes\) are taken"):
        ImageLimits(max_bytes=2_000_000).check_bytes(bytes(2_000_001))
