"""The name of an image as callers sent it, made fit for answers and logs."""

from __future__ import annotations

import re

from service.inspection.characters import unprintable

NAME_LENGTH = 255
_NOT_PRINTABLE = re.compile(f"[{unprintable()}\ud800-\udfff]")


def clean_name(name: str) -> str | None:
    """A file name fit for answers and logs: no folders, no control characters, 255 characters at most."""
    bare = _NOT_PRINTABLE.sub("", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return bare[:NAME_LENGTH] or None
