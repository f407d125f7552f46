"""Keeps what a race of backends has measured, in a file of the cache folder, so that it is run once on a machine.

An entry holds for one processor, one number of threads, the versions of the libraries and one source; anything else is
raced anew. `races.json` may be deleted at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from models.atomic_file import write_text
from models.backends.conditions import versions, waiting
from models.backends.processor import processor_name
from models.backends.race import Timings

FILE = "races.json"
LIBRARIES = ("torch", "ncnn", "onnxruntime")
LONGEST_RACE_S = 60.0  # of another process, which is waited for: two at once would measure each other


class _Races(BaseModel):
    races: dict[str, Timings] = {}


def conditions(source: str, taps: tuple[str, ...], size: int, threads: int) -> str:
    """All that a race's outcome follows from, in words."""
    work = f"{source} to {taps[-1]} at {size} px"
    return "; ".join((processor_name(), f"{threads} threads, {waiting()}", versions(LIBRARIES), work))


def kept_race(folder: Path, key: str, run: Callable[[], Timings]) -> tuple[Timings, bool]:
    """The timings kept under these conditions, or those of `run`, and whether they were kept.

    A folder that cannot be written costs a race at each start, and nothing else.
    """
    file = folder / FILE
    if key in (kept := _read(file)):
        return kept[key], True
    with _alone(file):
        if key in (kept := _read(file)):
            return kept[key], True
        timings = run()
        try:
            write_text(file, _Races(races={**kept, key: timings}).model_dump_json(indent=1) + "\n")
        except OSError:
            return timings, False
    return timings, False


def _read(file: Path) -> dict[str, Timings]:
    try:
        return _Races.model_validate(json.loads(file.read_text(encoding="utf-8"))).races
    except (OSError, ValueError, ValidationError):
        return {}


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    lock = FileLock(f"{file}.lock", timeout=LONGEST_RACE_S, mode=0o666)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, Timeout):
        yield
        return
    try:
        yield
    finally:
        lock.release()
