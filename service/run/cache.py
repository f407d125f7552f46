"""Tells where the cache folder cannot be written: then every start does anew what an earlier one has found."""

from __future__ import annotations

import logging

from models.sources.weights import cache_folder
from models.variables import CACHE_ENV
from models.writing import why_not_writable
from service.logs import event

ANEW = "every start judges all golden pictures and measures the backends anew"


def cache_fault() -> str | None:
    """What keeps the cache folder from being written, and what follows, in words; None where nothing does."""
    folder = cache_folder()
    reason = why_not_writable(folder)
    return None if reason is None else f"{folder}: {reason}, so {ANEW}; {CACHE_ENV} names another folder"


def tell_of_cache() -> None:
    """A warning in the log where nothing can be kept; it stands in the way of nothing else."""
    if (fault := cache_fault()) is not None:
        event("cache folder cannot be written; the service starts all the same", logging.WARNING, detail=fault)
