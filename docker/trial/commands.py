"""A program with its arguments in, what it said out; the one place from which programs are run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class TrialError(RuntimeError):
    """A step of the trial went wrong; the text says which and how."""


def say(text: str) -> None:
    """One line of progress, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def output(command: Sequence[str | Path]) -> str:
    """What `command` writes to stdout, stripped; raises TrialError with its last lines when it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrialError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout.strip()


def shown(command: Sequence[str | Path], log: Path) -> None:
    """Runs `command` with both streams into `log`; raises TrialError with the log's end when it fails."""
    with log.open("wb") as stream:
        done = subprocess.run([*map(str, command)], stdout=stream, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise TrialError(f"{command[0]} ended with {done.returncode}; the end of its log:\n{end}")


def until(asked: Callable[[], bool], what: str, seconds: float, pause: float = 2.0) -> float:
    """Asks, with a pause between, until the answer is true; seconds that took. Raises TrialError when it never is."""
    start = time.monotonic()
    while not asked():
        if time.monotonic() - start > seconds:
            raise TrialError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
    return time.monotonic() - start
