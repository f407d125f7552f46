"""Finds the names that the files of parts have in common: folders of such files are parts under several lights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.imaging.channels import MOST_CHANNELS

FEWEST_PARTS = 2


def usual_names(folders: Sequence[frozenset[str]]) -> frozenset[str] | None:
    """The names (given without regard to case) of each folder's files -> those that at least half of the folders have.

    None where fewer than two folders have the same, or where it is one name alone: these are folders of pictures.
    """
    counted = Counter(names for names in folders if 2 <= len(names) <= MOST_CHANNELS).most_common(1)
    if not counted or counted[0][1] < max(FEWEST_PARTS, len(folders) / 2):
        return None
    return counted[0][0]
