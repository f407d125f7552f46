"""Keeps what a training form says of the places that are looked at: its fields `roi` and `ignore`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from models.imaging.errors import ImageError
from models.imaging.limits import ImageLimits
from models.imaging.masks import Mask
from models.imaging.region_files import region_mask, regions_of
from models.imaging.regions import RegionsError
from service.errors import MalformedRequest
from service.inspection.thread_pool import OverBudget, WorkerThreads

FIELDS = ("roi", "ignore")


async def keep_regions(
    sent: Mapping[str, bytes], limits: ImageLimits, threads: WorkerThreads, folder: Path
) -> list[str]:
    """Each field goes into `folder` under its name once it has been read; returns the trainer's flags for them.

    Raises MalformedRequest where one is neither a mask nor polygons, or where nothing is left; OSError.
    """
    try:
        await threads.run(_check, sent, limits)
    except (ImageError, RegionsError) as error:
        raise MalformedRequest(f"form field {' and '.join(sent)}: {error}") from error
    except OverBudget as error:
        raise MalformedRequest(f"form field {' and '.join(sent)}: too costly to decode: {error}") from error
    flags = []
    for field, data in sent.items():
        path = folder / f"{field}.regions"
        await asyncio.to_thread(path.write_bytes, data)
        flags += [f"--{field}", str(path)]
    return flags


def _check(sent: Mapping[str, bytes], limits: ImageLimits) -> None:
    def mask(field: str) -> Mask | None:
        return region_mask(sent[field], limits) if field in sent else None

    regions_of(mask("roi"), mask("ignore"))
