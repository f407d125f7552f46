"""Reads a raw body, which is one image: what is longer than an image may be is refused as soon as that is known."""

from __future__ import annotations

from models.sizes import size_words
from service.errors import BodyTooLarge
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.reader import BodyLimits


class RawImage:
    """Feed it the pieces with `write`, then take the image from `finish`. Raises BodyTooLarge, also when it is made."""

    def __init__(self, limits: BodyLimits, declared: int | None) -> None:
        self._most = limits.max_image_bytes
        self._pieces: list[bytes] = []
        self._size = declared or 0
        self._check()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Keep the next piece."""
        self._size += len(piece)
        self._check()
        self._pieces.append(piece)

    def finish(self) -> list[EncodedImage]:
        """The one image."""
        return [EncodedImage(b"".join(self._pieces))]

    def _check(self) -> None:
        if self._size > self._most:
            raise BodyTooLarge(f"a raw body is one image, of at most {size_words(self._most)}")
