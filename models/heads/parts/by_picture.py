"""Tells which images are copies of one picture, so that what is set aside is set aside with all its copies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.heads.base import GoodParts


class ByPicture:
    """Images in the order of their pictures. `numbers` name the picture of each image (`GoodParts.picture_numbers`)."""

    def __init__(self, numbers: Iterable[int]) -> None:
        found: dict[int, list[int]] = {}
        for index, number in enumerate(numbers):
            found.setdefault(number, []).append(index)
        self._images = list(found.values())

    @classmethod
    def of(cls, parts: GoodParts) -> ByPicture:
        """Of good parts."""
        return cls(parts.picture_numbers)

    @property
    def count(self) -> int:
        """Pictures, however many copies there are of each."""
        return len(self._images)

    def images(self, pictures: Sequence[int]) -> list[int]:
        """The indices of all images of those pictures (0 to count - 1, by first appearance), picture by picture."""
        return [index for picture in pictures for index in self._images[picture]]
