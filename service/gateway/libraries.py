"""Imports of libraries that only some stations need; a missing one is named with the line that installs it."""

from __future__ import annotations

import importlib
from typing import Any


class MissingLibrary(Exception):
    """A station needs a library that is not installed; the text has the line that installs it."""


def need(module: str, extra: str) -> Any:
    """The module; raises MissingLibrary with the pip line of the extra that carries it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibrary(f"{module} is not installed ({error}): pip install 'mkdserve[{extra}]'") from error
