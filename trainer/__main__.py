"""Runs one command of the trainer: `mkd-train fit ...`, `mkd-train evaluate ...` (or `python -m trainer ...`)."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

import torch
from pydantic import ValidationError

from models.artifact import ArtifactError, ArtifactNotWritten
from models.exit_codes import ExitCode, guarded, os_words
from models.heads.base import FitDiverged
from models.sources.weights import SourceWeightsError
from models.writing import NotWritable
from trainer.activations import ActivationError
from trainer.cli.arguments import parser
from trainer.cli.commands import COMMANDS
from trainer.cli.settings import COMMON
from trainer.data import DataError
from trainer.display import RichDisplay

# The first that fits; a ValueError (pydantic's among them) is about a setting.
FAILURES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (NotWritable, ExitCode.OUTPUT),
    (ActivationError, ExitCode.OUTPUT),
    (ArtifactNotWritten, ExitCode.OUTPUT),
    (DataError, ExitCode.INPUT),
    (SourceWeightsError, ExitCode.INPUT),
    (ArtifactError, ExitCode.INPUT),
    (FitDiverged, ExitCode.NOT_IN_ORDER),
    (ValueError, ExitCode.USAGE),
    (OSError, ExitCode.OUTPUT),  # what is read tells its own
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code, with a sentence on standard error where it is not 0."""
    arguments = parser().parse_args(argv)
    display = RichDisplay()
    if getattr(arguments, "threads", None):
        torch.set_num_threads(arguments.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped container leaves a checkpoint, as Ctrl-C does
    return guarded("mkd-train", lambda: _run(arguments, display))


def _run(arguments: argparse.Namespace, display: RichDisplay) -> int:
    try:
        return COMMANDS[arguments.command](arguments, display)
    except KeyboardInterrupt:
        display.say("interrupted; the same command goes on from the last checkpoint")
        return ExitCode.INTERRUPTED
    except tuple(kind for kind, _ in FAILURES) as error:
        for line in _words(error):
            display.say(f"error: {line}")
        return next(code for kind, code in FAILURES if isinstance(error, kind))


def _words(error: Exception) -> list[str]:
    if isinstance(error, ValidationError):
        return [f"{_setting(one['loc'])}{one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
    return [os_words(error) if isinstance(error, OSError) else str(error)]


def _setting(place: tuple[int | str, ...]) -> str:
    """As it is typed, and as it stands in a file."""
    name = ".".join(str(part) for part in place)
    if not name:
        return ""
    if place[0] == "augmentation":
        return f"--augment-{place[1] if len(place) > 1 else '...'}: "
    if name in COMMON:
        return f"--{name.replace('_', '-')} ({name}): "
    return f"--set {name}: "


if __name__ == "__main__":
    sys.exit(main())
