"""The name of an image as callers sent it, made fit for answers and logs."""

from __future__ import annotations

import re

from service.inspection.characters import unprintable

NAME_LENGTH = 255
_NOT_PRINTABLE = re.compile(f"[{unprintable()}\ud800-\udfff]")


def clean_folder(name: str) -> str | None:
    """The last folder in front of a file name, fit for answers and logs; None where there is none."""
    folders = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[:-1]
    found = clean_name(folders[0].rstrip("/")) if folders else None
    return None if found == "." else found


def clean_name(name: str) -> str | None:
    """A file name fit for answers and logs: no folders, no control characters, 255 characters at most."""
    bare = _NOT_PRINTABLE.sub("", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return bare[:NAME_LENGTH] or None
