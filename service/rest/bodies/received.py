"""In: nothing. Out: the noun that all three request forms become, one image as it was sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.imaging.decode import ImageError

NAME_LENGTH = 255
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class ReceivedImage:
    """The encoded bytes of one image and its name, or why even these cannot be had (base64 that is none)."""

    data: bytes
    name: str | None = None
    error: ImageError | None = None


def clean_name(name: str) -> str | None:
    """A file name fit for answers and logs: no folders, no control characters, 255 characters at most."""
    bare = _NOT_PRINTABLE.sub("", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return bare[:NAME_LENGTH] or None
