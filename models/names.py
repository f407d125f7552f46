"""The form of every name that becomes a folder or a label, and the endings by which image files are known."""

from __future__ import annotations

import re

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_IN_WORDS = "a letter or digit first, then letters, digits, dot, dash and underscore, 64 at most"
WHOLE_NAME = f"^{NAME_PATTERN.pattern}$"  # the same for a schema, which searches instead of matching the whole text
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"}  # jpe, jfif: JPEG; dib: BMP
)


def is_name(text: str) -> bool:
    """Whether `text` may name a product, a version, a plan or a key: such a name cannot leave its folder."""
    return NAME_PATTERN.fullmatch(text) is not None
